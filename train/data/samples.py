"""The labelled videos of a dataset that have features, by split, with the true answers of the tasks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from config.schema import MOS, DatasetSettings, NumberForm, RunSettings, TaskSettings, WordsForm
from store.labels.dataset import Record, join_split, label_records
from store.labels.files import Label, MosScale
from store.labels.splits import place
from store.labels.tables import number
from train.answers.conversation import Conversation
from train.answers.forms import Value, on_form
from train.answers.levels import Levels
from train.data.reader import FeatureReader
from train.errors import FeaturesMissingError, TaskLabelError

Item = TypeVar("Item")

Split = Mapping[str, Sequence[Label]]
"""train, val, test… → labels."""


@dataclass(frozen=True)
class Medium:
    """A video, or a part of it, that a conversation is about."""

    dataset: str
    video: str
    start: int = 0
    stop: int | None = None
    """Chunks from `start` up to `stop`; by default the whole video."""
    branches: tuple[str, ...] | None = None
    """Those that it has features of, as a picture has none of motion; None: all."""


@dataclass(frozen=True)
class Sample:
    """A video with its opinion score; or a conversation about media."""

    video: str
    """Its id; of a conversation, where it stands in the labels."""
    dataset: str
    mos: float
    """On the dataset's own scale; NaN of a conversation, as the score is."""
    score: float
    """The MOS on 0–100, 100 is best; a little outside where the dataset is aligned with others."""
    answers: Mapping[str, Value]
    """Task → its true answer, where the labels have one."""
    further: tuple[Medium, ...] = ()
    """What a conversation about it may show beside the video, such as another to compare it with."""
    said: Conversation | None = None
    """What is asked and answered in the place of the tasks, about `further` alone, by its numbers there."""
    mark: str = ""
    """Of a conversation: what is asked, where its record says it (`task_mark`)."""

    @property
    def media(self) -> tuple[Medium, ...]:
        """The video, then what is further shown; of a conversation, what it shows."""
        return self.further if self.said is not None else (Medium(self.dataset, self.video), *self.further)

    @property
    def read(self) -> list[tuple[Medium, Sequence[str] | None]]:
        """The media that the decoder reads, of a conversation one a slot; with the branches shown."""
        if self.said is None:
            return [(medium, None) for medium in self.media]
        media = [self.media[number] for number in self.said.media]
        return list(zip(media, self.said.branches, strict=True))


@dataclass(frozen=True)
class DatasetSamples:
    """What one dataset gives to a run."""

    reader: FeatureReader
    levels: dict[str, Levels]
    """Task of words for opinion scores → its cuts, by the training videos that are used."""
    parts: dict[str, list[Sample]]
    """train, val, test… → samples."""
    missing: list[str]
    """Labelled videos without features."""
    labels: dict[str, Record]
    """What the labels say of the videos in `parts`."""


def dataset_samples(
    settings: RunSettings, dataset: DatasetSettings, split: Split, reader: FeatureReader
) -> DatasetSamples:
    """Join labels and features; of the training videos, keep the run's share.

    Raises FeaturesMissingError where no training video has features, TaskLabelError where a label cannot be
    a task's answer.
    """
    training = settings.pipeline.training
    present, missing = join_split(split, reader.videos())
    if not present.get("train"):
        count = len(split.get("train", ()))
        places = ", ".join(str(s.path) for s in reader.sets.values())
        others = ", ".join(f"{len(labels)} {name}" for name, labels in split.items())
        raise FeaturesMissingError(
            f"none of the {count} training videos of {dataset.name} has features in {places}"
            if count
            else f"the labels of {dataset.name} give no training video, but {others or 'none at all'}"
        )
    present["train"] = nested_share(
        present["train"], training.data_share, training.seed, lambda label: label.video
    )
    scale = MosScale.of(dataset)
    scores = [scale.to_100(label.mos) for label in present["train"]]
    levels = {name: Levels.fit(task.form, scores) for name, task in settings.cut.items()}  # type: ignore[arg-type]
    truth = Truth(dataset, settings.tasks, levels)
    parts = {
        name: [
            Sample(label.video, dataset.name, label.mos, scale.to_100(label.mos), truth.of(label))
            for label in present[name]
        ]
        for name in present
    }
    parts["train"] = [sample for sample in parts["train"] if sample.answers]
    return DatasetSamples(reader, levels, parts, missing, label_records(present))


def nested_share(items: Sequence[Item], share: float, seed: int, name: Callable[[Item], str]) -> list[Item]:
    """A random share of labels or samples, in their order; at least one. `name`: what one is known by.

    Whether one is kept follows from its name, the seed and the share alone. So by one seed a larger share
    holds all that a smaller one does, items that are added move no other, and sizes are approximate.
    """
    places = [place(name(item), f"{seed}, data share") for item in items]
    limit = max(share, min(places, default=0.0))
    return [item for item, own in zip(items, places, strict=True) if own <= limit]


def require_answers(tasks: Mapping[str, TaskSettings], samples: Mapping[str, DatasetSamples]) -> None:
    """Raise TaskLabelError where no training video of any dataset has an answer to one of the tasks.

    Conversations answer none: where there is nothing else, the tasks are not trained on.
    """
    train = [sample for each in samples.values() for sample in each.parts["train"]]
    if train and all(sample.said is not None for sample in train):
        return
    for name, task in tasks.items():
        if not any(name in sample.answers for sample in train):
            raise TaskLabelError(
                f"the task {name!r} asks for the column {task.label!r}, of which the labels of"
                f" {' and '.join(samples)} have nothing about the training videos"
            )


class Truth:
    """The true answers of tasks about a dataset's videos."""

    def __init__(
        self, dataset: DatasetSettings, tasks: Mapping[str, TaskSettings], levels: Mapping[str, Levels]
    ) -> None:
        self._dataset = dataset.name
        self._scale = MosScale.of(dataset)
        self._tasks = tasks
        self._levels = levels

    def of(self, label: Label) -> dict[str, Value]:
        """Task → answer; without those that the label says nothing of. Raises TaskLabelError."""
        answers = {name: self._answer(name, task, label) for name, task in self._tasks.items()}
        return {name: answer for name, answer in answers.items() if answer is not None}

    def _answer(self, name: str, task: TaskSettings, label: Label) -> Value | None:
        if task.label == MOS:
            score = self._scale.to_100(label.mos)
            if isinstance(task.form, NumberForm):
                # What is aligned with other datasets may lie outside of what an answer can say.
                return min(max(on_form(task, score), task.form.low), task.form.high)
            return self._levels[name].level(score)
        text = label.extra.get(task.label)
        if text is None:
            return None
        where = f"{label.video} of {self._dataset}: {task.label}"
        if isinstance(task.form, NumberForm):
            value = on_form(task, number(text, where) or 0.0)
            if not task.form.low <= value <= task.form.high:
                raise TaskLabelError(
                    f"{where} is {text}, outside of the range of the task {name!r}:"
                    f" set tasks.{name}.label_range to the column's own"
                )
            return value
        if isinstance(task.form, WordsForm) and text not in task.form.words:
            raise TaskLabelError(
                f"{where} is {text!r}: the words of the task {name!r} are {', '.join(task.form.words)}"
            )
        return text
