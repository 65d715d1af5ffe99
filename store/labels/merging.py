"""Rows as one label a video: ambiguous names kept whole, repeated rows read once, several raters averaged."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from config.errors import count
from store.labels.columns import Columns
from store.labels.errors import DuplicateLabelError, shown, some
from store.labels.files import Label, read_rows
from store.labels.resolve import full_id

log = logging.getLogger(__name__)


def read_labels(path: Path, columns: Columns | None = None) -> list[Label]:
    """The labels of a file, in its order; the layout is recognised (`read_table`), columns are known by name.

    Rows without a score are skipped and logged by name, several raters' scores averaged (`distinct`). Raises
    LabelsMissingError, LabelLayoutError (says what was found), LabelValueError (a score is no number) and
    DuplicateLabelError (one video, two scores).
    """
    return distinct(read_rows(path, columns or Columns()), str(path))


def distinct(rows: Sequence[Label], source: str) -> list[Label]:
    """One label for each video, in order; those that differ in suffix or extension alone keep it in their id.

    Rows that say the same are read once. Of rows by several raters, the mean becomes the opinion score and
    the standard deviation (of a sample: divided by n - 1; None for one rater) its spread. Both are logged.
    Raises DuplicateLabelError where one video has two splits, or two scores that are not of two raters.
    """
    of_video: dict[str, dict[str | None, Label]] = {}
    repeated = []
    for row in _unambiguous(rows):
        known = of_video.setdefault(row.video, {})
        same, first = known.setdefault(row.rater, row), next(iter(known.values()))
        if same.mos != row.mos:
            raise _twice(same, row, source)
        if first.split != row.split or (None in known and len(known) > 1):
            raise _twice(first, row, source)
        if same is not row:
            repeated.append(row.video)
    if repeated:
        log.warning("%s: %d repeated rows read once: %s", source, len(repeated), some(repeated))
    opinions = [list(known.values()) for known in of_video.values()]
    _log_raters([rows for rows in opinions if rows[0].rater is not None], source)
    return [rows[0] if rows[0].rater is None else _mean(rows) for rows in opinions]


def _unambiguous(labels: Sequence[Label]) -> Iterator[Label]:
    endings: dict[str, set[str]] = defaultdict(set)
    for label in labels:
        endings[label.video].add(full_id(label.written or label.video))
    for label in labels:
        several = len(endings[label.video]) > 1 and label.video not in endings[label.video]
        yield replace(label, video=full_id(label.written)) if several else label


def _twice(one: Label, other: Label, source: str) -> DuplicateLabelError:
    first, second = (
        f"{label.mos:g} (split {label.split}{'' if label.rater is None else f', rater {shown(label.rater)}'})"
        for label in (one, other)
    )
    return DuplicateLabelError(
        f"{source} labels {shown(one.video)} twice: MOS {first} and {second}; a video may be in one row and"
        " one split only, or in one row for each rater (rater_column)"
    )


def _mean(rows: Sequence[Label]) -> Label:
    scores = [row.mos for row in rows]
    return replace(
        rows[0],
        mos=float(np.mean(scores)),
        std=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        raters=len(scores),
        extra={name: value for name, value in rows[0].extra.items() if _agreed(name, rows)},
        rater=None,
    )


def _agreed(column: str, rows: Sequence[Label]) -> bool:
    return all(row.extra.get(column) == rows[0].extra.get(column) for row in rows)


def _log_raters(videos: Sequence[Sequence[Label]], source: str) -> None:
    if not videos:
        return
    each = [len(rows) for rows in videos]
    raters = {row.rater for rows in videos for row in rows}
    columns = {column for rows in videos for row in rows for column in row.extra}
    left_out = sorted(column for column in columns if not all(_agreed(column, rows) for rows in videos))
    log.info(
        f"{source}: {count(sum(each), 'opinion')} of {count(len(raters), 'rater')}, {min(each)} to"
        f" {max(each)} a video: their mean is the opinion score, their standard deviation the spread"
        + (f"; left out, as they differ by rater: {some(left_out)}" if left_out else "")
    )
    if alone := [rows[0].video for rows in videos if len(rows) == 1]:
        log.warning(
            f"{source}: {count(len(alone), 'video')} with one rater, so without spread: {some(alone)}"
        )
