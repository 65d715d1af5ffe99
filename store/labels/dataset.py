"""A dataset's labels as its settings describe them: read, checked, grouped and split."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from config.errors import nearest
from config.schema import DatasetSettings
from store.labels.errors import (
    GroupError,
    LabelsMissingError,
    MosRangeError,
    SplitError,
    shown,
    some,
)
from store.labels.files import Columns, Label, distinct, read_rows, split_name, written_names
from store.labels.mos import MosScale
from store.labels.resolve import resolve
from store.labels.splits import Split, train_test

log = logging.getLogger(__name__)

# Of a range of 0–100, scores of 1–5 use a twenty-fifth; real datasets use more than half.
_LEAST_USE = 0.25
_NAMES_CONTENT = re.compile(
    r"(.*_)?(contents?|scene|source|src|ref|reference|original|group)(_?(id|name))?", re.IGNORECASE
)


def labels_of(dataset: DatasetSettings) -> list[Label]:
    """All labels of the dataset; `split` is set where there is a file for each split or a split column.

    Warns where the scores use a small part of `mos_range`, and where a column looks like content groups while
    `group` is not set. Raises LabelsMissingError with directions where a file is absent, MosRangeError for a
    score outside the dataset's `mos_range`, DuplicateLabelError for a video with two scores or splits,
    GroupError for a `group` that is neither a column nor a pattern, and what `read_rows` raises.
    """
    files: list[tuple[str | None, Path]] = (
        [(split_name(split), path) for split, path in dataset.labels.items()]
        if isinstance(dataset.labels, dict)
        else [(None, dataset.labels)]
    )
    paths = [path for _, path in files]
    _require(dataset, paths)
    columns = Columns(
        dataset.video_column,
        dataset.mos_column,
        dataset.split_column,
        dataset.spread_column,
        dataset.raters_column,
    )
    rows = [
        row if split is None else replace(row, split=split)
        for split, path in files
        for row in read_rows(path, columns)
    ]
    labels = distinct(rows, ", ".join(map(str, paths)))
    _check_range(dataset, labels)
    _check_group(dataset, labels)
    return labels


def grouped_labels(dataset: DatasetSettings) -> list[Label]:
    """`labels_of`, each with its content group, by the dataset's `group`; without one where that is None.

    Raises GroupError where some videos have no group.
    """
    labels = labels_of(dataset)
    if dataset.group is None:
        return labels
    if any(dataset.group in label.extra for label in labels):
        groups = [label.extra.get(dataset.group) for label in labels]
    else:
        matches = [re.search(dataset.group, label.video) for label in labels]
        groups = [None if match is None else match.group(1) for match in matches]
    without = [label.video for label, group in zip(labels, groups, strict=True) if not group]
    if without:
        raise GroupError(
            f"datasets.{dataset.name}.group = {dataset.group!r} gives {len(without)} of {len(labels)} videos"
            f" no content group: {some(without)}"
        )
    return [replace(label, group=group) for label, group in zip(labels, groups, strict=True)]


def labelled_split(dataset: DatasetSettings) -> Split:
    """The dataset's labels by split: train, val, test, then any further test sets by name.

    Splits that the labels give are respected; where they have training videos but none for validation,
    `validation_share` of the training groups is taken, seeded. Labels without any split are split by
    `test_share` and `validation_share`. Raises SplitError where only some labels have a split, or where the
    labels' own splits put one content group into both training and something else.
    """
    labels = grouped_labels(dataset)
    undecided = [label.video for label in labels if label.split is None]
    if undecided and len(undecided) < len(labels):
        raise SplitError(
            f"{dataset.name}: {len(undecided)} of {len(labels)} labels have no split: {some(undecided)};"
            " give every row a split, or none"
        )
    if undecided:
        return _named(train_test(labels, dataset.test_share, dataset.validation_share, dataset.split_seed))
    given: Split = {"train": [], "val": [], "test": []}
    for label in labels:
        given.setdefault(str(label.split), []).append(label)
    _refuse_divided_groups(dataset, given)
    if given["train"] and not given["val"] and dataset.validation_share > 0:
        taken = train_test(given["train"], 0.0, dataset.validation_share, dataset.split_seed)
        given |= {"train": taken["train"], "val": taken["val"]}
    return _named(given)


def join_split(split: Mapping[str, Sequence[Label]], stored: Iterable[str]) -> tuple[Split, list[str]]:
    """The split's labels whose videos are stored, under the ids that they are stored by; and the other ids.

    Raises AmbiguousVideoError.
    """
    labels = [label for part in split.values() for label in part]
    coverage = resolve([label.video for label in labels], stored, written=written_names(labels))
    present = {
        name: [
            replace(label, video=coverage.found[label.video])
            for label in part
            if label.video in coverage.found
        ]
        for name, part in split.items()
    }
    return present, coverage.missing


def _refuse_divided_groups(dataset: DatasetSettings, given: Split) -> None:
    """Test sets may share contents with each other, but not with what the model learns or is chosen on."""
    seen = {name: {label.group or label.video for label in part} for name, part in given.items()}
    for learnt in ("train", "val"):
        for name in seen.keys() - {learnt}:
            if shared := sorted(seen[learnt] & seen[name]):
                raise SplitError(
                    f"{dataset.name}: the labels put {len(shared)} content groups into both {learnt} and"
                    f" {name}: {some(shared)}; correct the splits, or datasets.{dataset.name}.group"
                )


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
    where = f"mos_range {scale.low:g}–{scale.high:g}"
    outside = [f"{label.video} ({label.mos:g})" for label in labels if label.mos not in scale]
    if outside:
        raise MosRangeError(
            f"{dataset.name}: {len(outside)} of {len(labels)} scores lie outside {where}: {some(outside)};"
            f" correct datasets.{dataset.name}.mos_range or the labels"
        )
    least, most = min(label.mos for label in labels), max(label.mos for label in labels)
    if len(labels) > 2 and most - least < _LEAST_USE * (scale.high - scale.low):
        log.warning(
            "%s: the scores lie between %g and %g, a small part of %s: is that the scale that was rated on?"
            " datasets.%s.mos_range is (worst, best)",
            dataset.name,
            least,
            most,
            where,
            dataset.name,
        )


def _check_group(dataset: DatasetSettings, labels: Sequence[Label]) -> None:
    columns = sorted({column for label in labels for column in label.extra})
    if dataset.group is None:
        for column in filter(_NAMES_CONTENT.fullmatch, columns):
            values = [label.extra[column] for label in labels if column in label.extra]
            if 1 < len(set(values)) < len(values):
                log.warning(
                    '%s: the column %s has %d values for %d videos; without group = "%s" in [datasets.%s],'
                    " one content may come to both training and test",
                    *(dataset.name, shown(column), len(set(values)), len(values), column, dataset.name),
                )
    elif dataset.group not in columns:
        has = (
            f"the label file's columns are: {some(columns, 40)}"
            if columns
            else "the label file has no such column"
        )
        key = f"datasets.{dataset.name}.group = {dataset.group!r}"
        try:
            groups = re.compile(dataset.group).groups
        except re.error as error:
            raise GroupError(f"{key} is no regular expression ({error}); {has}") from error
        if groups < 1:
            raise GroupError(
                f"{key} is neither a column nor a regular expression with a (group)"
                f"{nearest(dataset.group, columns)}; {has}"
            )
