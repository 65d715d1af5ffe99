"""The labelled videos of a dataset that have features, by split, with their level cuts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.schema import DatasetSettings
from store.labels.dataset import Record, join_split, label_records
from store.labels.files import Label, MosScale
from store.labels.splits import place
from train.answers.levels import LevelCuts
from train.data.reader import FeatureReader
from train.errors import FeaturesMissingError

Split = Mapping[str, Sequence[Label]]
"""train, val, test… → labels."""


@dataclass(frozen=True)
class Sample:
    """A video with its opinion score."""

    video: str
    mos: float
    """On the dataset's own scale."""
    score: float
    """The MOS mapped to 0–100."""
    level: str
    """By the cuts of its dataset."""
    dataset: str


@dataclass(frozen=True)
class DatasetSamples:
    """What one dataset gives to a run."""

    reader: FeatureReader
    cuts: LevelCuts
    """Of the training videos that are used."""
    parts: dict[str, list[Sample]]
    """train, val, test… → samples."""
    missing: list[str]
    """Labelled videos without features."""
    labels: dict[str, Record]
    """What the labels say of the videos in `parts`."""


def dataset_samples(
    dataset: DatasetSettings, split: Split, reader: FeatureReader, share: float, seed: int
) -> DatasetSamples:
    """Join labels and features; of the training videos, keep the share.

    Raises FeaturesMissingError where no training video has features.
    """
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
    present["train"] = nested_share(present["train"], share, seed)
    scale = MosScale(*dataset.mos_range)
    cuts = LevelCuts.fit([scale.to_100(label.mos) for label in present["train"]])
    parts = {name: [_sample(label, dataset.name, scale, cuts) for label in present[name]] for name in present}
    return DatasetSamples(reader, cuts, parts, missing, label_records(present))


def nested_share(labels: Sequence[Label], share: float, seed: int) -> list[Label]:
    """A random share of the labels, in their order; at least one.

    Whether a video is kept follows from its id, the seed and the share alone. So by one seed a larger share
    holds all that a smaller one does, videos that are added move no other, and sizes are approximate.
    """
    places = {label.video: place(label.video, f"{seed}, data share") for label in labels}
    limit = max(share, min(places.values(), default=0.0))
    return [label for label in labels if places[label.video] <= limit]


def _sample(label: Label, dataset: str, scale: MosScale, cuts: LevelCuts) -> Sample:
    score = scale.to_100(label.mos)
    return Sample(label.video, label.mos, score, cuts.level(score), dataset)
