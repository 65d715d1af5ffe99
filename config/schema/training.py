"""How a pipeline is trained: the step, its targets, the schedule."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from config.schema.entry import Entry

UnitShare = Annotated[float, Field(ge=0, lt=1)]


Schedule = Literal["cosine", "linear", "constant"]
"""Of the learning rate."""


class StepSettings(Entry):
    """How a training step is computed; none of it changes the numbers beyond rounding."""

    attention: Literal["auto", "segments", "dense"] = "auto"
    """Within a packed row (train/model/attention.py). `auto`: `dense` for short videos, else `segments`."""
    recompute: Literal["none", "layers", "auto"] = "auto"
    """Layers to compute again in the backward pass instead of keeping them: none, all, or, on CUDA, as many
    as the free memory demands."""
    compile: Literal["auto"] | bool = "auto"
    """Compile the decoder's norms and MLPs with torch.compile. `auto`: when it trains on a GPU, unquantised
    (1.14 × the speed on an H200, after a minute)."""
    tf32: bool = True
    """On a GPU, products of float32 matrices (the projectors') in TF32: ten bits of mantissa."""


class TargetSettings(Entry):
    """What the score's token is trained towards."""

    sigma: float = Field(0.0, ge=0)
    """Width, in points of 0–100, of a Gaussian over the neighbouring scores; 0 is the paper's one-hot
    target."""
    expected_weight: float = Field(0.0, ge=0)
    """Weight of half the squared error of the expected score, in tens of points; 0 is the paper's loss."""


class GroupSettings(Entry):
    """How one group of parameters trains; a number stands for its learning rate."""

    learning_rate: float | None = Field(None, ge=0)
    """None: the training's. 0: the group is frozen."""
    weight_decay: float | None = Field(None, ge=0)
    """None: the training's."""

    @model_validator(mode="before")
    @classmethod
    def _number_is_a_rate(cls, value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return {"learning_rate": value} if number else value


class TrainingSettings(Entry):
    """Optimiser, schedule, batches and bookkeeping."""

    epochs: int = Field(ge=0)
    """0: the run is what it starts from, to be evaluated."""
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
    """Share of each dataset's training videos that is used: by a hash of `seed` and the video's id, so that a
    smaller share lies in a larger one, and sizes are approximate."""
    learning_rate: float = Field(gt=0)
    betas: tuple[UnitShare, UnitShare] = (0.9, 0.999)
    """AdamW's decay rates of the gradient's mean and of its square."""
    weight_decay: float = Field(0.0, ge=0)
    groups: dict[str, GroupSettings] = Field(default_factory=dict)
    """What trains at rates of its own: `projectors` (or one branch's, by the branch's name), `head` (the
    regression baseline's), `lora`, `embeddings`, `decoder`. Those that are not named train at
    `learning_rate`, but `embeddings` and `decoder` are frozen."""
    warmup_share: float = Field(0.03, ge=0, lt=1)
    schedule: Schedule = "cosine"
    gradient_clip: float | None = Field(1.0, gt=0)
    """Bound of the gradient's norm; None: no bound."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the projectors' matrix products. Their weights stay float32; the decoder has a dtype of its own."""
    shard_decoder: bool = False
    """Each process holds a share of the decoder's layers (FSDP) and not all of them; so it is in any case
    where the decoder trains."""
    targets: TargetSettings = TargetSettings()
    loss: Literal["answers", "tokens"] = "answers"
    """What a step's loss is the mean over: its answers, each the mean over its own tokens, or all of their
    tokens, as in LMM-VQA's released code."""
    save_every_steps: int | None = Field(None, ge=1)
    save_every_minutes: float | None = Field(None, gt=0)
    """Checkpoints within an epoch; there is one at each validation and at the end of every epoch anyhow."""
    validate_every_steps: int | None = Field(None, ge=1)
    """Validations within an epoch; there is one at the end of every epoch anyhow."""
    early_stopping: int | None = Field(None, ge=1)
    """Stop after so many validations without a better SRCC."""
    select: Literal["best", "last"] = "best"
    """Which checkpoint is evaluated: the one with the best validation SRCC, or the last."""
    average_last_epochs: int = Field(0, ge=0)
    """Validate and save the mean of the weights after each step of so many last epochs, not those of the last
    step; 0: no mean."""
    trackers: tuple[str, ...] = ("tensorboard",)
    """Where figures are logged: names that accelerate knows, such as tensorboard, wandb, mlflow."""
    seed: int = Field(0, ge=0, lt=2**63)
    threads: int | None = Field(None, ge=1)
    """CPU threads for torch; small models are fastest with 1."""
    step: StepSettings = StepSettings()

    @model_validator(mode="after")
    def _averages_what_is_reached(self) -> "TrainingSettings":
        if self.average_last_epochs and self.early_stopping:
            raise ValueError("early_stopping may end before the last epochs: set average_last_epochs = 0")
        return self
