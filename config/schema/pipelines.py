"""`[pipelines.NAME]` and `[protocols.NAME]`: what is trained, on what, and how it is evaluated."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from config.schema.entry import Entry
from config.schema.model import BranchSettings, DecoderSettings, RegressionSettings
from config.schema.prompts import Task
from config.schema.training import TrainingSettings


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
    continues: str | None = None
    """The pipeline whose run a run of this one begins with: the weights of what both have."""

    @field_validator("spatial", "temporal", mode="before")
    @classmethod
    def _false_is_no_branch(cls, branch: Any) -> Any:
        return None if branch is False else branch

    @model_validator(mode="after")
    def _has_a_branch(self) -> "PipelineSettings":
        if self.spatial is None and self.temporal is None:
            raise ValueError("a pipeline needs a `spatial` or a `temporal` branch, or both")
        for name, branch in self.branches.items():
            target = branch.append_to
            if target is None:
                continue
            if target == name or target not in self.branches or self.branches[target].append_to:
                raise ValueError(
                    f"{name}.append_to is {target!r}: expected another branch, which is not appended itself"
                )
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
    seed: int = Field(0, ge=0, lt=2**63)
    baseline: Literal["none", "svr"] = "none"
    """`svr`: an RBF support vector regressor on the video means, grid-searched, on the same splits."""
