"""Typed, frozen settings: one class for each kind of entry in pipelines.toml, one file for each section."""

from pydantic import Field, model_validator

from config.schema.ablations import AblationSettings
from config.schema.branches import BranchSettings, ProjectorSettings
from config.schema.datasets import AlignmentSettings, DatasetSettings, StoreSettings
from config.schema.decoder import DecoderSettings, LoraSettings
from config.schema.encoders import EncoderSettings
from config.schema.entry import Entry
from config.schema.pipelines import PipelineSettings, PromptSettings, RegressionSettings
from config.schema.protocols import ProtocolSettings
from config.schema.tasks import MOS, Form, NumberForm, TaskSettings, TextForm, WordsForm
from config.schema.training import StepSettings, TargetSettings, TrainingSettings

__all__ = [
    "MOS",
    "AblationSettings",
    "AlignmentSettings",
    "BranchSettings",
    "DatasetSettings",
    "DecoderSettings",
    "EncoderSettings",
    "Entry",
    "Form",
    "LoraSettings",
    "NumberForm",
    "PipelineSettings",
    "ProjectorSettings",
    "PromptSettings",
    "ProtocolSettings",
    "RegressionSettings",
    "RunSettings",
    "Settings",
    "StepSettings",
    "TargetSettings",
    "TaskSettings",
    "TextForm",
    "TrainingSettings",
    "WordsForm",
]


class Settings(Entry):
    """Everything in pipelines.toml."""

    store: StoreSettings
    datasets: dict[str, DatasetSettings]
    encoders: dict[str, EncoderSettings]
    decoders: dict[str, DecoderSettings] = Field(default_factory=dict)
    tasks: dict[str, TaskSettings]
    pipelines: dict[str, PipelineSettings]
    protocols: dict[str, ProtocolSettings] = Field(default_factory=dict)
    ablations: dict[str, AblationSettings] = Field(default_factory=dict)

    def run(self, pipeline: PipelineSettings, *datasets: DatasetSettings) -> "RunSettings":
        """The settings of one run of the pipeline on the datasets."""
        return RunSettings(
            pipeline=pipeline,
            datasets=tuple(pipeline.on_its_scale(dataset) for dataset in datasets),
            encoders={name: self.encoders[name] for name in pipeline.encoders},
            tasks={name: self.tasks[name] for name in pipeline.tasks},
            levels=None if pipeline.levels is None else self.tasks[pipeline.levels],
        )


class RunSettings(Entry):
    """One training run with every name resolved: written beside its results, enough to repeat it."""

    pipeline: PipelineSettings
    datasets: tuple[DatasetSettings, ...] = Field(min_length=1)
    """Those that are trained on; the first is what speaks for a video of no dataset."""
    encoders: dict[str, EncoderSettings]
    tasks: dict[str, TaskSettings]
    """Those that are asked, in their order."""
    levels: TaskSettings | None = None
    """See `PipelineSettings.levels`."""

    @model_validator(mode="after")
    def _datasets_differ(self) -> "RunSettings":
        names = [dataset.name for dataset in self.datasets]
        if len(set(names)) < len(names):
            raise ValueError(f"a run takes each dataset once, not {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _datasets_go_without_known_branches(self) -> "RunSettings":
        branches = self.pipeline.branches
        for dataset in self.datasets:
            if unknown := sorted(set(dataset.without) - branches.keys()):
                raise ValueError(
                    f"datasets.{dataset.name}.without names {unknown[0]!r}; the pipeline's branches are"
                    f" {', '.join(branches)}"
                )
            if dataset.without and self.pipeline.head == "regression":
                raise ValueError(f"datasets.{dataset.name}.without: the regression head needs all branches")
        for name in branches:
            if all(name in dataset.without for dataset in self.datasets):
                raise ValueError(
                    f"all datasets of the run go without {name}: drop it by"
                    f" pipelines.{self.pipeline.name}.branches.{name} = false"
                )
        return self

    @property
    def cut(self) -> dict[str, TaskSettings]:
        """The tasks of words for opinion scores, the first of which gives levels."""
        named = {name: task for name, task in self.tasks.items() if task.levels}
        return named or ({} if self.levels is None else {self.levels.name: self.levels})

    @property
    def dataset(self) -> DatasetSettings:
        """The first dataset."""
        return self.datasets[0]

    def trains_on(self, dataset: str) -> bool:
        """Whether the dataset of that name is one of the run's own."""
        return dataset in {own.name for own in self.datasets}
