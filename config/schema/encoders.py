"""`[encoders.NAME]`: a frozen encoder, its weights, and how it looks at a video."""

from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from config.schema.entry import Entry, Weights


class EncoderSettings(Entry):
    """A frozen encoder and how it sees a video."""

    name: str
    kind: Literal["clip", "siglip", "slowfast", "videomae", "nss", "videval", "external"]
    """`external`: features imported with `python -m store import`; they cannot be extracted."""
    weights: Weights | None = None
    """`random:SEED` (the real architecture with seeded random weights), a hub id, a path (`./…`), or, for
    SlowFast, the URL of a checkpoint."""
    revision: str | None = None
    architecture: dict[str, Any] = Field(default_factory=dict)
    """Overrides of the architecture's settings, for `random:SEED` weights."""
    shapes: dict[str, tuple[PositiveInt, ...]] = Field(default_factory=dict)
    """What an item of each stream looks like, before `grid`: for `python -m train … --dry-run` alone, where
    nothing is extracted yet."""
    layer: int = -2
    """Transformers: index into the hidden states; -2 is the penultimate layer."""
    input_size: int | None = Field(None, ge=16)
    """Height and width of the frames that the model sees; None is what it was trained with."""
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    """How a frame comes to that size: `stretch` ignores its aspect ratio, `crop` scales the shorter side
    and takes the centre, `pad` scales the longer side and adds black borders."""
    interpolation: Literal["bilinear", "bicubic"] | None = None
    """The antialiased filter that scales; None is the one that the model was trained with."""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    """Of RGB in 0–1, to normalise by; None is what the model was trained with."""
    chunks_per_second: float | None = Field(None, gt=0, le=240)
    """How many chunks a second is cut into: for encoders of one frame a chunk, the rate of key frames. None
    is one chunk a second (for SlowFast's motion stream, on which it has no influence, every four seconds)."""
    tail: Literal["drop", "keep"] = "drop"
    """Whether a last chunk that the video does not fill is kept."""
    frames_per_chunk: int | None = Field(None, ge=1)
    """Encoders of several frames a chunk; None is what the model was trained with."""
    sampling: Literal["first", "middle", "uniform"] | None = None
    """Which frames of a chunk that has more than are wanted. None: `first` where one is wanted,
    otherwise `uniform`."""
    frames_multiple: int | None = Field(None, ge=2)
    """SlowFast's motion: leave out the last frames that do not fill a multiple of this, as VQA²'s code does
    with 4; a video of fewer is seen whole. None sees all."""
    grid: tuple[int, ...] | None = None
    """Maps are pooled to it before they are stored: by averages to (time, height, width), or, for encoders of
    single frames, bilinearly to (height, width); None keeps them whole."""
    streams: tuple[str, ...] | None = None
    """Which of the encoder's streams to keep; None keeps the usual ones."""
    dtype: Literal["float16", "float32", "bfloat16", "int8"] = "float16"
    """Stored precision. `int8`: with a scale for each token; half the disk, read back as float16."""
    variant: Literal["light480-3fps", "light720-3fps", "light720-6fps", "full"] | None = None
    """VIDEVAL: to how many lines frames are scaled down, and how many of a second are looked at; `full`
    looks at every second frame as it is. None is light480-3fps."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Computed precision."""
    batch: int | None = Field(None, ge=1)
    """Chunks that the model sees at once, always exactly so many, so that a result does not depend on
    them; None is 1 on a CPU and what suits the model on a GPU."""
    compile: bool = False
    """Compile the model with torch.compile."""
    key: str | None = None
    """The feature key to train on (its beginning is enough), where the store has several for a dataset."""
    source: str = ""
    """Where to get the weights: printed when they are absent."""

    @model_validator(mode="after")
    def _tokens_bear_one_scale(self) -> "EncoderSettings":
        if self.dtype == "int8" and self.kind in ("nss", "videval", "external"):
            raise ValueError(
                f"dtype = int8 gives all numbers of a token one scale; those of kind {self.kind!r} differ"
                " too much in size: choose float32"
            )
        return self

    @model_validator(mode="after")
    def _videval_is_precise(self) -> "EncoderSettings":
        if self.kind == "videval" and self.dtype != "float32":
            raise ValueError(
                f"dtype = {self.dtype} cannot hold the numbers of kind 'videval', small and large: choose"
                " float32"
            )
        if self.variant is not None and self.kind != "videval":
            raise ValueError("variant is a choice of kind 'videval' alone")
        return self

    @model_validator(mode="after")
    def _only_motion_is_cut(self) -> "EncoderSettings":
        if self.frames_multiple is not None and (self.kind, self.streams) != ("slowfast", ("motion",)):
            raise ValueError("frames_multiple is for kind 'slowfast' with streams = ['motion'] alone")
        return self

    @property
    def array_dtype(self) -> Literal["float16", "float32", "bfloat16"]:
        """Of the arrays that the encoder gives to be stored."""
        return "float16" if self.dtype == "int8" else self.dtype
