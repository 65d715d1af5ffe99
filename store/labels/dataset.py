"""A dataset's labels as its settings describe them: read, checked, grouped, split, and noted by runs."""

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from config.schema import DatasetSettings
from store.labels.columns import Columns
from store.labels.errors import (
    LabelLayoutError,
    LabelsMissingError,
    MosRangeError,
    SplitError,
    shown,
    some,
)
from store.labels.excluding import without_excluded
from store.labels.files import Label, MosScale, read_rows, split_name, written_names
from store.labels.grouping import check_group, with_groups
from store.labels.merging import distinct
from store.labels.resolve import resolve
from store.labels.splits import Split, train_test

log = logging.getLogger(__name__)

Record = tuple[float | None, str, str | None]
"""What a run notes of a video: opinion score, split, content group; of a conversation no score."""
Records = Mapping[str, Record]
"""Video → its record."""

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
    files, names = _files(dataset.labels), _files(dataset.video_names)
    if dataset.conversations:
        raise LabelLayoutError(
            f"the labels of {dataset.name} are conversations (datasets.{dataset.name}.conversations), not"
            " opinion scores: expected a dataset with scores"
        )
    if absent := [str(path) for path in (*files.values(), *names.values()) if not path.is_file()]:
        raise LabelsMissingError(
            f"the labels of {dataset.name} are missing: {', '.join(absent)}\n"
            f"  get them from: {dataset.source}\n"
            f"  put them there, and the videos in {dataset.videos}/, or change [datasets.{dataset.name}] in"
            " pipelines.toml\n"
            "  to see everything run without any of it: make demo"
        )
    columns = Columns(
        video=dataset.video_column,
        mos=dataset.mos_column,
        split=dataset.split_column,
        spread=dataset.spread_column,
        raters=dataset.raters_column,
        rater=dataset.rater_column,
        scores=dataset.score_columns,
        not_rated=dataset.not_rated,
    )
    rows = [
        replace(row, split=split_name(key) or row.split)
        for key, path in files.items()
        for row in read_rows(path, replace(columns, names=names.get(key)))
    ]
    _check_range(dataset, rows)
    labels = without_excluded(dataset, distinct(rows, _source(dataset)))
    _check_use(dataset, labels)
    _check_group(dataset, labels)
    return labels


def grouped_labels(dataset: DatasetSettings) -> list[Label]:
    """`labels_of`, each with its content group, by the dataset's `group`; without one where that is None.

    Raises GroupError where some videos have no group.
    """
    labels = labels_of(dataset)
    if dataset.group is None:
        return labels
    return with_groups(labels, dataset.group, f"datasets.{dataset.name}.group", _source(dataset))


def labelled_split(dataset: DatasetSettings) -> Split:
    """The dataset's labels by split: train, val, test, then any further test sets by name.

    Splits that the labels give are respected; where they have training videos but none for validation,
    `validation_share` of the training groups is taken, seeded. Labels without any split are split by
    `test_share` and `validation_share`. Raises SplitError where only some labels have a split, or where the
    labels' own splits put one content group into both training and something else.
    """
    labels = grouped_labels(dataset)
    try:
        split = _split(dataset, labels)
    except SplitError as error:
        raise SplitError(f"{dataset.name} ({_source(dataset)}): {error}") from None
    return {name: [replace(label, split=name) for label in part] for name, part in split.items()}


def join_split(split: Mapping[str, Sequence[Label]], stored: Iterable[str]) -> tuple[Split, list[str]]:
    """The split's labels whose videos are stored, under the ids that they are stored by; and the other ids.

    Raises AmbiguousVideoError.
    """
    labels = [label for part in split.values() for label in part]
    coverage = resolve([label.video for label in labels], stored, written=written_names(labels))
    found = coverage.found
    present = {
        name: [replace(label, video=found[label.video]) for label in part if label.video in found]
        for name, part in split.items()
    }
    return present, coverage.missing


def label_records(split: Mapping[str, Sequence[Label]]) -> dict[str, Record]:
    """The records of a dataset's labels, in the order of their ids."""
    found = {label.video: (label.mos, name, label.group) for name, part in split.items() for label in part}
    return dict(sorted(found.items()))


def labels_digest(records: Records) -> str:
    """16 hexadecimal digits of SHA-256: equal for equal records, in whatever order."""
    canonical = json.dumps(sorted((video, *record) for video, record in records.items()))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def label_changes(before: Records, now: Records, limit: int = 5) -> list[str]:
    """A line for each kind of change: scores that differ, videos gone and come, other splits and groups."""
    both = [video for video in before if video in now]
    scores = [
        f"{v}: {_as_score(before[v][0])} → {_as_score(now[v][0])}" for v in both if before[v][0] != now[v][0]
    ]
    splits = [f"{v}: {before[v][1]} → {now[v][1]}" for v in both if before[v][1] != now[v][1]]
    groups = [f"{v}: {before[v][2]} → {now[v][2]}" for v in both if before[v][2] != now[v][2]]
    kinds = {
        f"of {len(both)} opinion scores differ": scores,
        "videos are in another split": splits,
        "videos are in another content group": groups,
        "videos are no longer there": [video for video in before if video not in now],
        "videos are new": [video for video in now if video not in before],
    }
    return [f"{len(found)} {what}: {some(found, limit)}" for what, found in kinds.items() if found]


def _as_score(score: float | None) -> str:
    return "none" if score is None else f"{score:.10g}"


def _files(files: Path | dict[str, Path] | None) -> dict[str, Path]:
    """Files by the split that each is for; by an empty name where one is for all."""
    return files if isinstance(files, dict) else {} if files is None else {"": files}


def _source(dataset: DatasetSettings) -> str:
    return ", ".join(map(str, _files(dataset.labels).values()))


def _split(dataset: DatasetSettings, labels: Sequence[Label]) -> Split:
    undecided = [label.video for label in labels if label.split is None]
    if undecided and len(undecided) < len(labels):
        raise SplitError(
            f"{len(undecided)} of {len(labels)} labels have no split: {some(undecided)};"
            " give every row a split, or none"
        )
    if undecided:
        return train_test(labels, dataset.test_share, dataset.validation_share, dataset.split_seed)
    given: Split = {"train": [], "val": [], "test": []}
    for label in labels:
        given.setdefault(str(label.split), []).append(label)
    # Test sets may share contents with each other, but not with what the model learns or is chosen on.
    groups = {name: {label.group or label.video for label in part} for name, part in given.items()}
    for learnt in ("train", "val"):
        for name in groups.keys() - {learnt}:
            if shared := sorted(groups[learnt] & groups[name]):
                raise SplitError(
                    f"the labels put {len(shared)} content groups into both {learnt} and {name}:"
                    f" {some(shared)}; correct the splits, or datasets.{dataset.name}.group"
                )
    if given["train"] and not given["val"] and dataset.validation_share > 0:
        taken = train_test(given["train"], 0.0, dataset.validation_share, dataset.split_seed)
        given |= {"train": taken["train"], "val": taken["val"]}
    return given


def _check_range(dataset: DatasetSettings, rows: Sequence[Label]) -> None:
    scale = MosScale.of(dataset)
    outside = [row for row in rows if row.mos not in scale]
    if outside:
        names = list(dict.fromkeys(f"{row.video} ({row.mos:g})" for row in outside))
        raise MosRangeError(
            f"{_source(dataset)}: {len(outside)} of {len(rows)} scores lie outside mos_range"
            f" {scale.low:g}–{scale.high:g}: {some(names)}; correct datasets.{dataset.name}.mos_range or"
            " the labels, or name in not_rated what stands for no score"
        )


def _check_use(dataset: DatasetSettings, labels: Sequence[Label]) -> None:
    """Warns where the scores use a small part of the scale."""
    scale = MosScale.of(dataset)
    least, most = min(label.mos for label in labels), max(label.mos for label in labels)
    if len(labels) > 2 and most - least < _LEAST_USE * (scale.high - scale.low):
        log.warning(
            f"{dataset.name}: the scores lie between {least:g} and {most:g}, a small part of mos_range"
            f" {scale.low:g}–{scale.high:g}: is that the scale that was rated on?"
            f" datasets.{dataset.name}.mos_range is (worst, best)"
        )


def _check_group(dataset: DatasetSettings, labels: Sequence[Label]) -> None:
    columns = sorted({column for label in labels for column in label.extra})
    if dataset.group is None:
        for column in filter(_NAMES_CONTENT.fullmatch, columns):
            values = [label.extra[column] for label in labels if column in label.extra]
            if 1 < len(set(values)) < len(values):
                log.warning(
                    f"{dataset.name}: the column {shown(column)} has {len(set(values))} values for"
                    f' {len(values)} videos; without group = "{column}" in [datasets.{dataset.name}], one'
                    " content may come to both training and test"
                )
    else:
        check_group(dataset.group, columns, f"datasets.{dataset.name}.group", _source(dataset))
