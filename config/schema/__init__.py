"""Typed, frozen settings: one class for each kind of entry in pipelines.toml, one file for each section."""

from pydantic import Field, model_validator

from config.schema.datasets import DatasetSettings, StoreSettings
from config.schema.encoders import EncoderSettings
from config.schema.entry import Entry
from config.schema.pipelines import (
    BranchSettings,
    DecoderSettings,
    LoraSettings,
    PipelineSettings,
    ProjectorSettings,
    PromptSettings,
    ProtocolSettings,
    RegressionSettings,
    Task,
    TaskPrompts,
)
from config.schema.training import StepSettings, TargetSettings, TrainingSettings

__all__ = [
    "BranchSettings",
    "DatasetSettings",
    "DecoderSettings",
    "EncoderSettings",
    "Entry",
    "LoraSettings",
    "PipelineSettings",
    "ProjectorSettings",
    "PromptSettings",
    "ProtocolSettings",
    "RegressionSettings",
    "RunSettings",
    "Settings",
    "StepSettings",
    "TargetSettings",
    "Task",
    "TaskPrompts",
    "TrainingSettings",
]


class Settings(Entry):
    """Everything in pipelines.toml."""

    store: StoreSettings
    datasets: dict[str, DatasetSettings]
    encoders: dict[str, EncoderSettings]
    decoders: dict[str, DecoderSettings] = Field(default_factory=dict)
    prompts: dict[str, PromptSettings]
    pipelines: dict[str, PipelineSettings]
    protocols: dict[str, ProtocolSettings] = Field(default_factory=dict)

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
