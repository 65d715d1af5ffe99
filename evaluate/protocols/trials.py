"""A protocol's trials: what is trained on, and what is tested, in each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from config.schema import DatasetSettings, ProtocolSettings
from store.labels.dataset import grouped_labels, labelled_split
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
    """Test set → labels of its videos: a dataset's name or, of its further test sets, DATASET/PART."""
    seed: int = 0
    """Added to the pipelines' own seeds."""


def dataset_of(test: str) -> str:
    """The dataset of a test set."""
    return test.partition("/")[0]


def protocol_trials(protocol: ProtocolSettings, datasets: Sequence[DatasetSettings]) -> list[Trial]:
    """The protocol's trials on all its datasets: seeded splits keep content groups together; or as published.

    `datasets`: all that are involved. Raises SplitError where datasets have different numbers of published
    folds, and what reading and splitting labels raises.
    """
    also = {each.name: _training_only(each) for each in datasets if each.name in protocol.also}
    further = {each.name: grouped_labels(each) for each in datasets if each.name in protocol.tests}
    own = [each for each in datasets if each.name in protocol.datasets]
    return [
        replace(
            trial,
            name=trial.name if protocol.seeds == 1 else f"{trial.name}-seed-{seed}",
            splits={**trial.splits, **also},
            tested={**trial.tested, **further},
            seed=trial.seed + seed,
        )
        for trial in _trials(protocol, own)
        for seed in range(protocol.seeds)
    ]


def _trials(protocol: ProtocolSettings, datasets: Sequence[DatasetSettings]) -> list[Trial]:
    """Without what is the same in all of them."""
    if protocol.kind == "cross-dataset":
        return _each_left_out(protocol, datasets)
    if protocol.kind == "matrix":
        return _each_alone(datasets)
    if protocol.kind == "in-sample":
        splits = {dataset.name: labelled_split(dataset) for dataset in datasets}
        return [Trial("run", splits, _test_sets(splits))]
    by_dataset = {dataset.name: _splits(protocol, dataset) for dataset in datasets}
    counts = {name: len(splits) for name, splits in by_dataset.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise SplitError(f"the protocol {protocol.name} needs equally many published folds, not {listed}")
    return [
        Trial(
            f"split-{number}",
            {name: splits[number] for name, splits in by_dataset.items()},
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


def _test_sets(splits: Mapping[str, Split]) -> dict[str, Sequence[Label]]:
    """The test sets that the datasets' own splits have."""
    return {
        name if part == "test" else f"{name}/{part}": labels
        for name, split in splits.items()
        for part, labels in split.items()
        if part not in ("train", "val") and labels
    }


def _each_alone(datasets: Sequence[DatasetSettings]) -> list[Trial]:
    splits = {dataset.name: labelled_split(dataset) for dataset in datasets}
    whole = {name: [label for part in split.values() for label in part] for name, split in splits.items()}
    return [
        Trial(
            f"trained-on-{name}",
            {name: split},
            {**_test_sets({name: split}), **{other: whole[other] for other in whole if other != name}},
        )
        for name, split in splits.items()
    ]


def _each_left_out(protocol: ProtocolSettings, datasets: Sequence[DatasetSettings]) -> list[Trial]:
    labels = {dataset.name: grouped_labels(dataset) for dataset in datasets}
    splits = {
        name: train_test(every, 0.0, protocol.validation_share, protocol.seed)
        for name, every in labels.items()
    }
    return [
        Trial(
            f"{tested}-{number}",
            {name: split for name, split in splits.items() if name != tested},
            {tested: every},
            number,
        )
        for tested, every in labels.items()
        for number in range(protocol.repeats)
    ]
