"""A protocol's trials: what is trained on, and what is tested, in each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.schema import DatasetSettings, ProtocolSettings
from store.labels.dataset import grouped_labels
from store.labels.errors import SplitError
from store.labels.files import Label
from store.labels.folds import published_folds
from store.labels.splits import Split, k_fold, random_splits, train_test


@dataclass(frozen=True)
class Trial:
    """One training of every pipeline, and its test."""

    name: str
    """Of the runs' folders."""
    splits: Mapping[str, Split]
    """Dataset → its split, of those that are trained on."""
    tested: Mapping[str, Sequence[Label]]
    """Dataset → labels of the videos that are tested."""
    seed: int = 0
    """Added to the pipelines' own seeds."""


def protocol_trials(protocol: ProtocolSettings, datasets: Sequence[DatasetSettings]) -> list[Trial]:
    """The protocol's trials on all its datasets: seeded splits keep content groups together; or as published.

    Raises SplitError where datasets have different numbers of published folds, and what reading and splitting
    labels raises.
    """
    also = {each.name: _training_only(each) for each in datasets if each.name in protocol.also}
    datasets = [each for each in datasets if each.name not in protocol.also]
    if protocol.kind == "cross-dataset":
        return _each_in_turn(protocol, datasets, also)
    by_dataset = {dataset.name: _splits(protocol, dataset) for dataset in datasets}
    counts = {name: len(splits) for name, splits in by_dataset.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise SplitError(f"the protocol {protocol.name} needs equally many published folds, not {listed}")
    return [
        Trial(
            f"split-{number}",
            {**{name: splits[number] for name, splits in by_dataset.items()}, **also},
            {name: splits[number]["test"] for name, splits in by_dataset.items()},
        )
        for number in range(min(counts.values()))
    ]


def _splits(protocol: ProtocolSettings, dataset: DatasetSettings) -> list[Split]:
    validation, seed = protocol.validation_share, protocol.seed
    if protocol.kind == "published-folds":
        return published_folds(dataset, seed, validation)
    labels = grouped_labels(dataset)
    if protocol.kind == "k-fold":
        return k_fold(labels, protocol.repeats, seed, validation)
    return random_splits(labels, protocol.repeats, protocol.test_share, validation, seed)


def _training_only(dataset: DatasetSettings) -> Split:
    return {"train": grouped_labels(dataset), "val": [], "test": []}


def _each_in_turn(
    protocol: ProtocolSettings, datasets: Sequence[DatasetSettings], also: Mapping[str, Split]
) -> list[Trial]:
    labels = {dataset.name: grouped_labels(dataset) for dataset in datasets}
    splits = {
        name: train_test(every, 0.0, protocol.validation_share, protocol.seed)
        for name, every in labels.items()
    }
    return [
        Trial(
            f"{tested}-{number}",
            {**{name: split for name, split in splits.items() if name != tested}, **also},
            {tested: every},
            number,
        )
        for tested, every in labels.items()
        for number in range(protocol.repeats)
    ]
