"""Typed, frozen settings: one class for each kind of entry in pipelines.toml."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Task = Literal["score", "level"]


class Entry(BaseModel):
    """A frozen table of settings that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class StoreSettings(Entry):
    """Where features are kept."""

    path: Path
    backend: Literal["zarr", "zarr-zstd", "hdf5"] = "zarr"
    """What new parts are written as; parts of all kinds are read. `zarr-zstd` compresses: maps after a ReLU
    (SlowFast's) to about 0.6 of the disk, a transformer's tokens to 0.92, for slower reads."""


class DatasetSettings(Entry):
    """Videos, their opinion scores and how they are split."""

    name: str
    videos: Path
    """Folder that is searched, with its subfolders, for the videos."""
    labels: Path | dict[str, Path]
    """One label file, or one for each split: `train`, `test` and any further test set by its name."""
    video_column: str | None = None
    mos_column: str | None = None
    """Columns to read where the layout is not recognised by itself."""
    mos_range: tuple[float, float]
    """(worst, best) of the dataset's own opinion scale."""
    group: str | None = None
    """Content groups, which no split may divide: a column of the label file, or a regular expression
    whose first group is taken from the video's id."""
    minimum_chunks: int = Field(1, ge=1)
    """Shorter videos repeat their last chunk up to so many when features are read, as MinimalisticVQA does
    (8 for LSVQ and KoNViD-1k, 10 for LIVE-VQC and LIVE-YT-Gaming, 20 for YouTube-UGC)."""
    validation_share: float = Field(0.1, ge=0, lt=1)
    test_share: float = Field(0.2, ge=0, lt=1)
    """Shares of the videos, used where the label files do not split them."""
    split_seed: int = 0
    source: str
    """Where to get the videos and labels: printed when they are absent."""

    @model_validator(mode="after")
    def _range_rises(self) -> "DatasetSettings":
        if self.mos_range[0] >= self.mos_range[1]:
            raise ValueError(f"mos_range must be (worst, best) with worst < best, not {self.mos_range}")
        return self


class EncoderSettings(Entry):
    """A frozen encoder and how it sees a video."""

    name: str
    kind: Literal["clip", "siglip", "slowfast", "videomae", "nss", "external"]
    """`external`: features imported with `python -m store import`; they cannot be extracted."""
    weights: str | None = None
    """`random:SEED` (the real architecture with seeded random weights), a hub id, a path (`./…`), or, for
    SlowFast, the URL of a checkpoint."""
    revision: str | None = None
    architecture: dict[str, Any] = {}
    """Overrides of the architecture's settings, for `random:SEED` weights."""
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
    grid: tuple[int, ...] | None = None
    """Maps are pooled to it before they are stored: by averages to (time, height, width), or, for encoders of
    single frames, bilinearly to (height, width); None keeps them whole."""
    streams: tuple[str, ...] | None = None
    """Which of the encoder's streams to keep; None keeps the usual ones."""
    dtype: Literal["float16", "float32", "bfloat16", "int8"] = "float16"
    """Stored precision. `int8`: with a scale for each token; half the disk, read back as float16."""
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
        if self.dtype == "int8" and self.kind in ("nss", "external"):
            raise ValueError(
                f"dtype = int8 gives all numbers of a token one scale; those of kind {self.kind!r} differ"
                " too much in size: choose float32"
            )
        return self

    @property
    def array_dtype(self) -> Literal["float16", "float32", "bfloat16"]:
        """Of the arrays that the encoder gives to be stored."""
        return "float16" if self.dtype == "int8" else self.dtype


class ProjectorSettings(Entry):
    """A trainable map from features to the decoder's embedding space."""

    kind: Literal["vit", "mlp", "perceiver"]
    hidden: tuple[int, ...] = ()
    """mlp: widths of the hidden layers; none gives the paper's single linear layer."""
    heads: int = Field(16, ge=1)
    """vit, perceiver: attention heads."""
    mlp_ratio: float = Field(4.0, gt=0)
    """vit, perceiver: width of the hidden layer, as a multiple of the feature width."""
    layers: int = Field(2, ge=1)
    """perceiver: how often the learned tokens look at the chunk's."""
    tokens: int | None = Field(None, ge=1)
    """Output tokens of a chunk. perceiver: so many are learned. mlp: so many are made from all input tokens
    together; None maps token by token."""
    dropout: float = Field(0.0, ge=0, lt=1)
    noise: float = Field(0.0, ge=0)
    """Standard deviation of the noise added to the (standardised) input in training."""
    standardise: bool = False
    """z-score the input with the training split's statistics."""
    clip: float | None = None
    """Bound of the z-scores."""
    match_embeddings: bool = False
    """Scale the output at the start to the standard deviation of the decoder's token embeddings."""

    @model_validator(mode="after")
    def _tokens_suit_the_kind(self) -> "ProjectorSettings":
        if self.kind == "perceiver" and self.tokens is None:
            raise ValueError("a perceiver needs `tokens`: how many it makes of a chunk, such as 64")
        if self.kind == "vit" and self.tokens is not None:
            raise ValueError("a vit keeps its input's tokens: remove `tokens`, or choose kind = perceiver")
        return self


class BranchSettings(Entry):
    """One branch of the model: which features it reads and how they become tokens."""

    encoder: str
    stream: str
    grid: tuple[int, int, int] | None = None
    """Pool maps [time, height, width, dim] to this grid of tokens when loading; None keeps them."""
    over_time: Literal["keep", "mean"] = "keep"
    """`keep` gives tokens for every chunk; `mean` averages the features over the chunks first."""
    projector: ProjectorSettings


class LoraSettings(Entry):
    """Low-rank adapters on the decoder (peft)."""

    rank: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    """The update is scaled by alpha / rank."""
    dropout: float = Field(0.05, ge=0, lt=1)
    targets: tuple[str, ...] = Field(("q_proj", "k_proj", "v_proj", "o_proj"), min_length=1)
    """Names of the linear layers that are adapted."""


class DecoderSettings(Entry):
    """The frozen language model that answers."""

    weights: str
    """`random:SEED`, a hub id or a path (`./…`)."""
    revision: str | None = None
    tokenizer: str | None = None
    """A hub id or path, where it is not beside the weights."""
    architecture: dict[str, Any] = {}
    """For `random:SEED`: the model's configuration, with `model_type` (see transformers)."""
    chat_template: str | None = None
    """Jinja template, for tokenizers that come without one."""
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Of the weights, or, where they are quantised, of the computation."""
    quantised: Literal["none", "8bit", "4bit"] = "none"
    """How the frozen weights are held: as they are, or by bitsandbytes as LLM.int8() or NF4."""
    lora: LoraSettings | None = None
    licence: str = ""
    """Said in the model card of what is trained on it."""
    source: str = ""
    """Where to get the weights: printed when they are absent."""


class RegressionSettings(Entry):
    """The head that reads scores off the projected tokens without a language model: a baseline."""

    width: int = Field(256, ge=1)
    """Of the projected tokens, in place of the decoder's."""
    pooling: Literal["mean", "attention"] = "mean"
    """How a branch's tokens become one vector; `attention` weighs them by a learned query."""
    hidden: tuple[int, ...] = (256,)
    """Widths of the hidden layers."""
    dropout: float = Field(0.1, ge=0, lt=1)


class TaskPrompts(Entry):
    """The wording of one task."""

    questions: tuple[str, ...] = Field(min_length=1)
    """Phrasings: training draws one at random, evaluation always asks the first."""
    restriction: str
    """The form that the answer must have."""
    answer: str
    """The answer, with `{score}` or `{level}` in it."""


class PromptSettings(Entry):
    """System prompt and tasks."""

    system: str
    score: TaskPrompts
    level: TaskPrompts


class StepSettings(Entry):
    """How a training step is computed; none of it changes the numbers beyond rounding."""

    attention: Literal["auto", "segments", "dense"] = "auto"
    """Within a packed row (train/attention.py). `auto`: `dense` for short videos, otherwise `segments`."""
    recompute: Literal["none", "layers", "auto"] = "auto"
    """Layers to compute again in the backward pass instead of keeping them: none, all, or, on CUDA, as many
    as the free memory demands."""
    compile: bool = False
    """Compile the decoder's norms and MLPs with torch.compile."""


class TargetSettings(Entry):
    """What the score's token is trained towards."""

    sigma: float = Field(0.0, ge=0)
    """Width, in points of 0–100, of a Gaussian over the neighbouring scores; 0 is the paper's one-hot
    target."""
    expected_weight: float = Field(0.0, ge=0)
    """Weight of half the squared error of the expected score, in tens of points; 0 is the paper's loss."""


class TrainingSettings(Entry):
    """Optimiser, schedule, batches and bookkeeping."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    """Videos of one optimiser step, over all processes together."""
    tokens_per_batch: int | None = Field(None, ge=1)
    """Visual and text tokens that one process holds in one forward pass: a step that has more takes several
    and adds up their gradients. A video that is longer is alone in its pass. None: one pass a step."""
    workers: int = Field(0, ge=0)
    """Threads that read features ahead; 0 reads them when their turn comes."""
    prefetch: int = Field(4, ge=1)
    """Batches that may wait, read ahead."""
    data_share: float = Field(1.0, gt=0, le=1)
    """Share of each dataset's training videos that is used; by one seed, a smaller share lies in a larger."""
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup_share: float = Field(0.03, ge=0, lt=1)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    gradient_clip: float | None = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the projectors' matrix products. Their weights stay float32; the decoder has a dtype of its own."""
    shard_decoder: bool = False
    """Each process holds a share of the frozen decoder's layers (FSDP) and not all of them."""
    targets: TargetSettings = TargetSettings()
    save_every_steps: int | None = Field(None, ge=1)
    save_every_minutes: float | None = Field(None, gt=0)
    """Checkpoints within an epoch; there is one at each validation and at the end of every epoch anyhow."""
    validate_every_steps: int | None = Field(None, ge=1)
    """Validations within an epoch; there is one at the end of every epoch anyhow."""
    early_stopping: int | None = Field(None, ge=1)
    """Stop after so many validations without a better SRCC."""
    select: Literal["best", "last"] = "best"
    """Which checkpoint is evaluated: the one with the best validation SRCC, or the last."""
    trackers: tuple[str, ...] = ("tensorboard",)
    """Where figures are logged: names that accelerate knows, such as tensorboard, wandb, mlflow."""
    seed: int = Field(0, ge=0)
    threads: int | None = None
    """CPU threads for torch; small models are fastest with 1."""
    step: StepSettings = StepSettings()


class PipelineSettings(Entry):
    """A model: branches, decoder, tasks and training."""

    name: str
    dataset: str
    """What `make train` trains on when no dataset is named."""
    # `false` drops a branch that the pipeline inherits.
    spatial: BranchSettings | None = None
    temporal: BranchSettings | None = None
    head: Literal["decoder", "regression"] = "decoder"
    """What answers: the language model, or the regression baseline, which leaves `decoder` aside."""
    decoder: DecoderSettings
    """A table, or the name of an entry in [decoders]; a table may `extends` such an entry."""
    regression: RegressionSettings = RegressionSettings()
    prompts: str
    tasks: tuple[Task, ...] = Field(("score",), min_length=1)
    token_order: Literal["blocks", "interleaved"] = "blocks"
    """Visual tokens: one branch's block after the other's, or merged by the time at which chunks begin."""
    training: TrainingSettings

    @field_validator("spatial", "temporal", mode="before")
    @classmethod
    def _false_is_no_branch(cls, branch: Any) -> Any:
        return None if branch is False else branch

    @model_validator(mode="after")
    def _has_a_branch(self) -> "PipelineSettings":
        if self.spatial is None and self.temporal is None:
            raise ValueError("a pipeline needs a `spatial` or a `temporal` branch, or both")
        return self

    @property
    def branches(self) -> dict[str, BranchSettings]:
        """Branch name → settings, in the order of their tokens in the sequence."""
        named = {"spatial": self.spatial, "temporal": self.temporal}
        return {name: branch for name, branch in named.items() if branch is not None}

    @property
    def encoders(self) -> list[str]:
        """Names of the encoders that the branches read, without repeats."""
        return list(dict.fromkeys(branch.encoder for branch in self.branches.values()))


class ProtocolSettings(Entry):
    """Repeated training and testing on seeded splits of one dataset."""

    name: str
    pipelines: tuple[str, ...] = Field(min_length=1)
    """All of them on the same splits."""
    dataset: str
    kind: Literal["random-splits", "k-fold"]
    repeats: int = Field(5, ge=1)
    """Number of random splits, or of folds."""
    test_share: float = Field(0.2, gt=0, lt=1)
    validation_share: float = Field(0.0, ge=0, lt=1)
    seed: int = 0
    baseline: Literal["none", "svr"] = "none"
    """`svr`: an RBF support vector regressor on the video means, grid-searched, on the same splits."""


class Settings(Entry):
    """Everything in pipelines.toml."""

    store: StoreSettings
    datasets: dict[str, DatasetSettings]
    encoders: dict[str, EncoderSettings]
    decoders: dict[str, DecoderSettings] = {}
    prompts: dict[str, PromptSettings]
    pipelines: dict[str, PipelineSettings]
    protocols: dict[str, ProtocolSettings] = {}

    def run(self, pipeline: PipelineSettings, *datasets: DatasetSettings) -> "RunSettings":
        """The settings of one run of the pipeline on the datasets."""
        return RunSettings(
            pipeline=pipeline,
            datasets=datasets,
            encoders={name: self.encoders[name] for name in pipeline.encoders},
            prompts=self.prompts[pipeline.prompts],
        )


class RunSettings(Entry):
    """One training run with every name resolved: written beside its results, enough to repeat it."""

    pipeline: PipelineSettings
    datasets: tuple[DatasetSettings, ...] = Field(min_length=1)
    """Those that are trained on; the first is what speaks for a video of no dataset."""
    encoders: dict[str, EncoderSettings]
    prompts: PromptSettings

    @model_validator(mode="after")
    def _datasets_differ(self) -> "RunSettings":
        names = [dataset.name for dataset in self.datasets]
        if len(set(names)) < len(names):
            raise ValueError(f"a run takes each dataset once, not {', '.join(names)}")
        return self

    @property
    def dataset(self) -> DatasetSettings:
        """The first dataset."""
        return self.datasets[0]

    def trains_on(self, dataset: str) -> bool:
        """Whether the dataset of that name is one of the run's own."""
        return dataset in {own.name for own in self.datasets}
