"""`[pipelines.NAME.branches.NAME]`: which features a model reads, and how they become tokens."""

from typing import Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from config.schema.entry import Entry


class ProjectorSettings(Entry):
    """A trainable map from features to the decoder's embedding space."""

    kind: Literal["vit", "mlp", "perceiver", "clip-layer"]
    """`clip-layer`: one layer of CLIP's own encoder, then a linear layer, as in LMM-VQA's released code."""
    hidden: tuple[PositiveInt, ...] = ()
    """mlp: widths of the hidden layers; none gives the paper's single linear layer."""
    heads: int = Field(16, ge=1)
    """vit, perceiver, clip-layer: attention heads."""
    mlp_ratio: float = Field(4.0, gt=0)
    """vit, perceiver, clip-layer: width of the hidden layer, as a multiple of the feature width."""
    layers: int = Field(2, ge=1)
    """perceiver: how often the learned tokens look at the chunk's."""
    tokens: int | None = Field(None, ge=1)
    """Output tokens of a chunk. perceiver: so many are learned. mlp: so many are made from all input tokens
    together; None maps token by token."""
    output_norm: bool = False
    """A LayerNorm behind the last linear layer, as in LMM-VQA's released code."""
    dropout: float = Field(0.0, ge=0, lt=1)
    noise: float = Field(0.0, ge=0)
    """Standard deviation of the noise added to the (standardised) input in training."""
    standardise: bool | Literal["normal-scores"] = False
    """Bring each feature to one scale by the training split's statistics: true, by z-scores; `normal-scores`,
    by the normal deviate of its rank, so that a feature of whatever distribution becomes a normal one."""
    clip: float | None = Field(None, gt=0)
    """Bound of what that gives; normal scores have one already, 2.7."""
    match_embeddings: bool = False
    """Scale the output at the start to the standard deviation of the decoder's token embeddings."""
    positions: int | None = Field(None, ge=2)
    """mlp: a learned embedding of so many positions, added to the features of each chunk (of VQA²'s motion:
    frame) by its number in the video; a longer video is spread over all of them."""
    resample: tuple[PositiveInt, PositiveInt] | None = None
    """mlp: the tokens of a square map are projected one by one, and then resampled bilinearly to this grid,
    as in VQA²'s released code; an encoder's `grid` does so before they are stored."""
    end_token: bool = False
    """A learned token behind the branch's block, as in VQA²'s released code."""

    @field_validator("positions", "resample", mode="before")
    @classmethod
    def _false_is_none(cls, value: Any) -> Any:
        return None if value is False else value

    @model_validator(mode="after")
    def _only_an_mlp_has_them(self) -> "ProjectorSettings":
        for name in ("positions", "resample"):
            if getattr(self, name) is not None and self.kind != "mlp":
                raise ValueError(f"{name} is for kind = mlp: leave it out of a {self.kind}")
        if self.resample is not None and self.tokens is not None:
            raise ValueError("resample and tokens both say how many tokens come out: leave out one")
        return self

    @model_validator(mode="after")
    def _tokens_suit_the_kind(self) -> "ProjectorSettings":
        if self.kind == "perceiver" and self.tokens is None:
            raise ValueError("a perceiver needs `tokens`: how many it makes of a chunk, such as 64")
        if self.kind in ("vit", "clip-layer") and self.tokens is not None:
            raise ValueError(
                f"a {self.kind} keeps its input's tokens: remove `tokens`, or choose kind = perceiver"
            )
        return self


class BranchSettings(Entry):
    """One branch of the model: which features it reads and how they become tokens."""

    encoder: str
    stream: str
    # `false` drops what the branch inherits of `grid`, `first_chunks`, `at_most` and `append_to`.
    grid: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    """Pool maps [time, height, width, dim] to this grid of tokens when loading; None keeps them."""
    over_time: Literal["keep", "mean"] = "keep"
    """`keep` gives tokens for every chunk; `mean` averages the features over the chunks first."""
    first_chunks: int | None = Field(None, ge=1)
    """Read so many chunks, the video's first; a shorter video's last is repeated. None reads all."""
    first_by: Literal["time", "name"] = "time"
    """Which chunks are first: `name` orders their numbers as text (0, 1, 10, 11, 2), as LMM-VQA's released
    code does by mistake."""
    at_most: int | None = Field(None, ge=1)
    """Of a video with more chunks (of VQA²'s motion: frames), read so many, evenly spaced; None reads all."""
    append_to: str | None = None
    """Another branch: these tokens, projected to its features' width, are appended to those of its chunks,
    and go through its projector. Where it averages over time, so do they."""
    distance: bool = False
    """Learn how the training videos' features are spread, so that a prediction says how far a video's lie
    from them; takes the square of the features' width in memory."""
    pictures: bool = True
    """False: pictures have no tokens of this branch, as they have no motion, and are not extracted for it."""
    projector: ProjectorSettings

    @field_validator("grid", "first_chunks", "at_most", "append_to", mode="before")
    @classmethod
    def _false_is_none(cls, value: Any) -> Any:
        return None if value is False else value
