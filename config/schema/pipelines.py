"""`[pipelines.NAME]`: a model's branches, what answers, and how it is trained."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from config.schema.branches import BranchSettings
from config.schema.datasets import AlignmentSettings, DatasetSettings
from config.schema.decoder import DecoderSettings
from config.schema.entry import Entry
from config.schema.training import GroupSettings, TrainingSettings

_PARTS = ("head", "lora", "embeddings", "decoder")
"""What trains beside the projectors; see TrainingSettings.groups."""


class RegressionSettings(Entry):
    """The head that reads scores off the projected tokens without a language model: a baseline."""

    width: int = Field(256, ge=1)
    """Of the projected tokens, in place of the decoder's."""
    pooling: Literal["mean", "attention"] = "mean"
    """How a branch's tokens become one vector; `attention` weighs them by a learned query."""
    hidden: tuple[PositiveInt, ...] = (256,)
    """Widths of the hidden layers."""
    dropout: float = Field(0.1, ge=0, lt=1)


class PromptSettings(Entry):
    """How free questions are put to a run, which should be as it was trained.

    `<image>` is where a video's tokens stand; twice, where the pipeline's slots divide them (`division`).
    """

    system: str | None = None
    """What the model is told first. None: the first task's, and nothing where conversations alone were
    trained on."""
    one: str = "<image> "
    """What stands before a question about one video."""
    several: str = "Video {number}: <image>\n"
    """The same for each of several: {number} is 1, 2 …, {ordinal} first, second …"""

    @model_validator(mode="after")
    def _shows_the_video(self) -> "PromptSettings":
        for name in ("one", "several"):
            text: str = getattr(self, name)
            try:
                text.format(number=1, ordinal="first")
            except (LookupError, ValueError) as error:
                raise ValueError(
                    f"prompt.{name} is {text!r}: expected no other fields in braces than number and ordinal"
                ) from error
            if "<image>" not in text:
                raise ValueError(f"prompt.{name} is {text!r}: expected <image> where the video stands")
        if (one := self.one.count("<image>")) != (several := self.several.count("<image>")):
            raise ValueError(
                f"prompt.one has <image> {one} times, prompt.several {several} times: expected as many"
            )
        return self


class PipelineSettings(Entry):
    """A model: branches, decoder, tasks and training."""

    name: str
    dataset: str
    """What `make train` trains on when no dataset is named."""
    branches: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")], BranchSettings] = Field(min_length=1)
    """Name → branch, in the order of their tokens; `false` drops one that the pipeline inherits."""
    head: Literal["decoder", "regression"] = "decoder"
    """What answers: the language model, or the regression baseline, which leaves `decoder` aside."""
    decoder: DecoderSettings
    """A table, or the name of an entry in [decoders]; a table may `extends` such an entry."""
    regression: RegressionSettings = RegressionSettings()
    members: int = Field(1, ge=1)
    """So many sets of projectors (and regression heads) with weights of their own, trained side by side on
    the same batches; the model's answer is the mean of theirs. A video takes so many times the tokens."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """Entries of [tasks], all of which are asked about every video that has a label for them."""
    levels: str | None = None
    """A task of words for opinion scores, by whose cuts an expected score is a level where no task of words
    is asked."""
    aligned: dict[str, AlignmentSettings] = Field(default_factory=dict)
    """Dataset → how its opinion scores lie on the scale that the model learns; others as their own `aligned`
    says."""
    token_order: Literal["blocks", "interleaved"] = "blocks"
    """Visual tokens: one branch's block after the other's, or merged by the time at which chunks begin."""
    slots: tuple[tuple[str, ...], ...] = ()
    """Blocks by the slots of VQA²'s prompts, which show a video in several: the branches of each slot. A
    task's question shows all of them after each other; a branch may be in several. None: one slot of all."""
    prompt: PromptSettings = PromptSettings()
    std_scale: float = Field(1.0, gt=0)
    """Predicted standard deviations are multiplied by it; `python -m evaluate calibrate RUN` sets a run's."""
    training: TrainingSettings
    continues: str | None = None
    """The pipeline whose run a run of this one begins with: the weights of what both have."""

    def division(self, slots: int) -> tuple[tuple[str, ...] | None, ...]:
        """A medium's tokens where it stands in so many slots: the branches of each; None shows all.

        What is not divided into so many stands in the first.
        """
        own = tuple((name,) for name, branch in self.branches.items() if branch.append_to is None)
        divided = self.slots or own
        whole = slots == 1 or self.token_order == "interleaved" or len(divided) != slots
        return (None,) if whole else divided

    @field_validator("branches", mode="before")
    @classmethod
    def _false_is_no_branch(cls, branches: Any) -> Any:
        if not isinstance(branches, dict):
            return branches
        return {name: branch for name, branch in branches.items() if branch is not False}

    @field_validator("continues", "levels", mode="before")
    @classmethod
    def _false_is_none(cls, value: Any) -> Any:
        return None if value is False else value

    @model_validator(mode="after")
    def _appended_branches_have_a_target(self) -> "PipelineSettings":
        for name, branch in self.branches.items():
            target = branch.append_to
            if target is None:
                continue
            if target == name or target not in self.branches or self.branches[target].append_to:
                raise ValueError(
                    f"{name}.append_to is {target!r}: expected another branch, which is not appended itself"
                )
        return self

    @model_validator(mode="after")
    def _blocks_are_of_its_branches(self) -> "PipelineSettings":
        own = [name for name, branch in self.branches.items() if branch.append_to is None]
        for slot in self.slots:
            if unknown := sorted(set(slot) - set(own)):
                raise ValueError(f"slots names {unknown[0]!r}; branches with tokens are {', '.join(own)}")
            if not slot or len(set(slot)) < len(slot):
                raise ValueError(f"slots has {list(slot)}: expected one branch or more, each once")
        left_out = sorted(set(own) - {name for slot in self.slots for name in slot})
        if self.slots and left_out:
            raise ValueError(f"slots leaves out {left_out[0]}: expected every branch in one of them")
        ends = [name for name in own if self.branches[name].projector.end_token]
        if self.token_order == "interleaved" and (self.slots or ends):
            what = "slots" if self.slots else f"{ends[0]}.projector.end_token"
            raise ValueError(f"token_order = interleaved has no blocks: leave out {what}")
        return self

    @model_validator(mode="after")
    def _groups_are_its_own(self) -> "PipelineSettings":
        if clash := {"projectors", *_PARTS} & self.branches.keys():
            raise ValueError(f"branches.{min(clash)}: that is a group's name in training.groups")
        lora = () if self.decoder.lora is None else ("lora",)
        own = ("head",) if self.head == "regression" else (*lora, "embeddings", "decoder")
        parts = (*self.branches, *own)
        for name, group in self.training.groups.items():
            if name not in ("projectors", *self.branches, *_PARTS):
                listed = ", ".join(("projectors", *parts))
                raise ValueError(f"training.groups.{name}: the pipeline has no such part; it has {listed}")
            if name in _PARTS and name not in parts and group.learning_rate != 0:
                why = "decoder.lora is not set" if name == "lora" else f"head = {self.head}"
                raise ValueError(f"training.groups.{name}: the pipeline has no such part: {why}")
        if not any(map(self.trains, parts)):
            raise ValueError(f"training.groups: nothing trains; give a rate to one of {', '.join(parts)}")
        if self.trains("decoder") and self.decoder.quantised != "none":
            raise ValueError(
                f"training.groups.decoder: weights held in {self.decoder.quantised} cannot train: set"
                " decoder.quantised = none, or train decoder.lora"
            )
        if self.trains("decoder") and self.decoder.lora is not None:
            raise ValueError("training.groups.decoder and decoder.lora: expected one of the two")
        if self.trains("decoder") and self.training.average_last_epochs:
            raise ValueError("training.average_last_epochs is not for training.groups.decoder: set it to 0")
        return self

    @property
    def shards(self) -> bool:
        """Whether the decoder's layers are divided among the processes."""
        return self.head == "decoder" and (self.training.shard_decoder or self.trains("decoder"))

    def rates(self, group: str) -> tuple[float, float]:
        """Learning rate and weight decay of a group: a branch's projector, or a part such as `decoder`.

        A frozen group's rate is 0. Token embeddings that are not named go with the decoder.
        """
        wider = {"embeddings": "decoder"}.get(group, "projectors" if group in self.branches else group)
        named = self.training.groups
        own = named.get(group) or named.get(wider)
        if own is None:
            own = GroupSettings(learning_rate=0 if wider == "decoder" else None)
        rate, decay = own.learning_rate, own.weight_decay
        return (
            self.training.learning_rate if rate is None else rate,
            self.training.weight_decay if decay is None else decay,
        )

    def trains(self, group: str) -> bool:
        """Whether the group is not frozen."""
        return self.rates(group)[0] > 0

    def on_its_scale(self, dataset: DatasetSettings) -> DatasetSettings:
        """The dataset with its scores on the scale that the model learns."""
        own = self.aligned.get(dataset.name, dataset.aligned)
        return dataset.model_copy(update={"aligned": own})

    @property
    def encoders(self) -> list[str]:
        """Names of the encoders that the branches read, without repeats."""
        return list(dict.fromkeys(branch.encoder for branch in self.branches.values()))

    @property
    def picture_branches(self) -> tuple[str, ...]:
        """The branches of which pictures have tokens."""
        return tuple(name for name, branch in self.branches.items() if branch.pictures)

    @property
    def picture_encoders(self) -> frozenset[str]:
        """The encoders that see pictures."""
        return frozenset(self.branches[name].encoder for name in self.picture_branches)
