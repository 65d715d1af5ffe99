"""A dataset's labels as its settings describe them: read, checked, grouped and split."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from config.schema import DatasetSettings
from store.labels.errors import (
    DuplicateLabelError,
    GroupError,
    LabelsMissingError,
    MosRangeError,
    SplitError,
    some,
)
from store.labels.files import SPLIT_ALIASES, Label, read_labels
from store.labels.mos import MosScale
from store.labels.resolve import resolve
from store.labels.splits import Split, train_test


def labels_of(dataset: DatasetSettings) -> list[Label]:
    """All labels of the dataset; `split` is set where there is a file for each split or a split column.

    Raises LabelsMissingError with directions where a file is absent, MosRangeError for a score outside the
    dataset's `mos_range`, DuplicateLabelError for a video in two splits, and what `read_labels` raises.
    """
    files: dict[str | None, Path] = (
        {SPLIT_ALIASES.get(split, split): path for split, path in dataset.labels.items()}
        if isinstance(dataset.labels, dict)
        else {None: dataset.labels}
    )
    _require(dataset, list(files.values()))
    labels: dict[str, Label] = {}
    for split, path in files.items():
        for read in read_labels(path, dataset.video_column, dataset.mos_column):
            label = read if split is None else replace(read, split=split)
            known = labels.setdefault(label.video, label)
            if known is not label:
                raise DuplicateLabelError(
                    f"{dataset.name}: {label.video} is in two splits, {known.split} and"
                    f" {label.split} ({path}); a video may be in one only"
                )
    _check_range(dataset, list(labels.values()))
    return list(labels.values())


def groups_of(labels: Sequence[Label], dataset: DatasetSettings) -> list[str]:
    """The content group of each label, by the dataset's `group`; every video its own where that is None.

    Raises GroupError where `group` is neither a column nor a regular expression with a group, or gives
    some videos no group.
    """
    if dataset.group is None:
        return [label.video for label in labels]
    columns = sorted({column for label in labels for column in label.extra})
    if dataset.group in columns:
        found = [label.extra.get(dataset.group) for label in labels]
        groups = [None if value is None else str(value) for value in found]
    else:
        pattern = _group_pattern(dataset.name, dataset.group, columns)
        matches = [pattern.search(label.video) for label in labels]
        groups = [None if match is None else match.group(1) for match in matches]
    without = [label.video for label, group in zip(labels, groups, strict=True) if not group]
    if without:
        raise GroupError(
            f"datasets.{dataset.name}.group = {dataset.group!r} gives {len(without)} of {len(labels)} videos"
            f" no content group: {some(without)}"
        )
    return [group for group in groups if group]


def labelled_split(dataset: DatasetSettings) -> Split:
    """The dataset's labels by split: train, val, test, then any further test sets by name.

    Splits that the labels give are respected; where they have training videos but none for validation,
    `validation_share` of the training groups is taken, seeded. Labels without any split are split by
    `test_share` and `validation_share`. Raises SplitError where only some labels have a split, or where the
    labels' own splits put one content group into both training and something else.
    """
    labels = labels_of(dataset)
    undecided = [label.video for label in labels if label.split is None]
    if undecided and len(undecided) < len(labels):
        raise SplitError(
            f"{dataset.name}: {len(undecided)} of {len(labels)} labels have no split: {some(undecided)};"
            " give every row a split, or none"
        )
    if undecided:
        groups = groups_of(labels, dataset)
        split = train_test(labels, groups, dataset.test_share, dataset.validation_share, dataset.split_seed)
        return _named(split)
    given: Split = {"train": [], "val": [], "test": []}
    for label in labels:
        given.setdefault(str(label.split), []).append(label)
    _refuse_divided_groups(dataset, given)
    if given["train"] and not given["val"] and dataset.validation_share > 0:
        groups = groups_of(given["train"], dataset)
        taken = train_test(given["train"], groups, 0.0, dataset.validation_share, dataset.split_seed)
        given |= {"train": taken["train"], "val": taken["val"]}
    return _named(given)


def _refuse_divided_groups(dataset: DatasetSettings, given: Split) -> None:
    """Test sets may share contents with each other, but not with what the model learns or is chosen on."""
    labels = [label for part in given.values() for label in part]
    group_of = {label.video: group for label, group in zip(labels, groups_of(labels, dataset), strict=True)}
    seen = {name: {group_of[label.video] for label in part} for name, part in given.items()}
    for learnt in ("train", "val"):
        for name in seen.keys() - {learnt}:
            if shared := sorted(seen[learnt] & seen[name]):
                raise SplitError(
                    f"{dataset.name}: the labels put {len(shared)} content groups into both {learnt} and"
                    f" {name}: {some(shared)}; correct the splits, or datasets.{dataset.name}.group"
                )


def join_split(split: Mapping[str, Sequence[Label]], stored: Iterable[str]) -> tuple[Split, list[str]]:
    """The split's labels whose videos are stored, under the ids that they are stored by; and the other ids.

    Raises AmbiguousVideoError.
    """
    coverage = resolve([label.video for labels in split.values() for label in labels], stored)
    present = {
        name: [
            replace(label, video=coverage.found[label.video])
            for label in labels
            if label.video in coverage.found
        ]
        for name, labels in split.items()
    }
    return present, coverage.missing


def _named(split: Split) -> Split:
    return {name: [replace(label, split=name) for label in labels] for name, labels in split.items()}


def _require(dataset: DatasetSettings, paths: Sequence[Path]) -> None:
    absent = [str(path) for path in paths if not path.is_file()]
    if absent:
        raise LabelsMissingError(
            f"the labels of {dataset.name} are missing: {', '.join(absent)}\n"
            f"  get them from: {dataset.source}\n"
            f"  put them there, and the videos in {dataset.videos}/, or change [datasets.{dataset.name}] in"
            " pipelines.toml\n"
            "  to see everything run without any of it: make demo"
        )


def _check_range(dataset: DatasetSettings, labels: Sequence[Label]) -> None:
    scale = MosScale(*dataset.mos_range)
    outside = [f"{label.video} ({label.mos:g})" for label in labels if label.mos not in scale]
    if outside:
        raise MosRangeError(
            f"{dataset.name}: {len(outside)} of {len(labels)} scores lie outside mos_range"
            f" {scale.low:g}–{scale.high:g}: {some(outside)};"
            f" correct datasets.{dataset.name}.mos_range or the labels"
        )


def _group_pattern(name: str, group: str, columns: Sequence[str]) -> re.Pattern[str]:
    has = (
        f"the label file's columns are: {some(columns, 40)}"
        if columns
        else "the label file has no such column"
    )
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise GroupError(
            f"datasets.{name}.group = {group!r} is no regular expression ({error}); {has}"
        ) from error
    if pattern.groups < 1:
        raise GroupError(
            f"datasets.{name}.group = {group!r} is neither a column nor a regular expression with a (group);"
            f" {has}"
        )
    return pattern
