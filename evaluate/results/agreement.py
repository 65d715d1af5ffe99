"""Judge a file of predictions, of whatever model, against a label file, of whatever layout."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from evaluate.errors import PredictionFileError
from evaluate.metrics.calibration import Calibration, calibration_of
from evaluate.metrics.outliers import ci95
from evaluate.metrics.scores import Intervals, Metrics, bootstrap_intervals, score_metrics
from evaluate.results.predictions import PredictedVideo, PredictionTable, join_predictions
from store.labels.columns import MOS_COLUMNS, VIDEO_COLUMNS, Columns
from store.labels.errors import LabelLayoutError, some
from store.labels.files import Label
from store.labels.grouping import check_group, with_groups
from store.labels.merging import read_labels
from store.labels.tables import is_missing, is_number, number, read_table

log = logging.getLogger(__name__)

ALL = "all"
"""In place of a column's name: every column of numbers."""


@dataclass(frozen=True)
class Judgement:
    """Metrics of one column of predictions, and the videos that they cover and do not cover."""

    column: str
    against: str
    """The labels' column of the same name, or `mos`."""
    n: int
    missing: list[str]
    """Labelled videos without a score."""
    unlabelled: list[str]
    """Predicted videos without a label."""
    metrics: Metrics
    intervals: Intervals
    groups: int | None = None
    """Content groups, which the intervals resample; None where they resample videos."""
    calibration: Calibration | None = None
    """Of the standard deviations beside the scores, both as they are in the file."""
    videos: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Those judged: their opinion score and score."""

    @property
    def labelled(self) -> int:
        """Videos with a label."""
        return self.n + len(self.missing)

    def as_json(self) -> dict[str, Any]:
        """Plain data; NaN does not occur, what is undefined is None."""
        figures = asdict(self.metrics)
        note = figures.pop("note")
        del figures["n"]
        return {
            "n": self.n,
            "labelled": self.labelled,
            "against": self.against,
            "missing": self.missing,
            "unlabelled": self.unlabelled,
            "metrics": figures,
            "intervals": asdict(self.intervals),
            "groups": self.groups,
            "calibration": None if self.calibration is None else asdict(self.calibration),
            "note": note,
        }


@dataclass(frozen=True)
class LabelSource:
    """Where opinion scores come from, and how they meet predictions."""

    file: Path | None = None
    """A label file; None: the opinion scores stand beside the predictions."""
    video_column: str | None = None
    """The label file's."""
    mos_column: str | None = None
    """The label file's, or, without one, that of the opinion scores beside the predictions."""
    by_row: bool = False
    """Whether the label file names no videos, and its rows are those of the predictions."""
    group: str | None = None
    """Column, or pattern with a (group), that says which content a video is of."""

    @property
    def beside(self) -> str | None:
        """The column of the opinion scores beside the predictions, where it is named."""
        return self.mos_column if self.file is None else None

    def labels(self, path: Path, predicted: Sequence[PredictedVideo]) -> list[Label]:
        """The labels for the predictions of a file. Raises PredictionFileError, LabelError."""
        if self.file is None:
            # The columns beside the predictions are groups at most, no opinion scores
            return [
                replace(label, extra={}) for label in self._grouped(_labels_beside(path, predicted), path)
            ]
        return self._grouped(self._from(self.file, predicted), self.file)

    def _grouped(self, labels: list[Label], file: Path) -> list[Label]:
        if self.group is None:
            return labels
        columns = sorted({name for label in labels for name in label.extra})
        check_group(self.group, columns, "--group", str(file))
        return with_groups(labels, self.group, "--group", str(file))

    def _from(self, file: Path, predicted: Sequence[PredictedVideo]) -> list[Label]:
        names = tuple(row.video for row in predicted) if self.by_row else None
        try:
            return read_labels(file, Columns(self.video_column, self.mos_column, names=names))
        except LabelLayoutError as error:
            table = read_table(file)
            if self.by_row or not table.header or table.find(self.video_column, VIDEO_COLUMNS) is not None:
                raise
            raise LabelLayoutError(
                f"{error}; or, where its rows are those of the predictions, in their order: --by-row"
            ) from None


def judge(
    predictions: Path,
    labels: Path | None = None,
    *,
    score_column: str = "score",
    predicted_video_column: str | None = None,
    video_column: str | None = None,
    mos_column: str | None = None,
) -> Judgement:
    """Join predictions with labels and compute every metric; what has no partner is logged by name.

    `video_column` and `mos_column` are the label file's; without one, `mos_column` is that of the opinion
    scores beside the predictions. Raises PredictionFileError, NothingToCompare, and what read_labels and
    resolve raise.
    """
    source = LabelSource(labels, video_column, mos_column)
    return judge_columns(predictions, source, (score_column,), predicted_video_column)[0]


def judge_columns(
    predictions: Path,
    source: LabelSource,
    score_columns: Sequence[str] = ("score",),
    predicted_video_column: str | None = None,
) -> list[Judgement]:
    """`judge` for several columns of scores, or for all (`ALL`): each against the labels' column of its name.

    Where the labels have none, against their opinion scores. Raises what `judge` raises, and GroupError.
    """
    table = PredictionTable.read(predictions, predicted_video_column, source.beside, source.by_row)
    columns = _asked(table, score_columns)
    rows = {column: table.predictions(column) for column in columns}
    labels = source.labels(predictions, next(iter(rows.values())))
    found = [
        _judged(column, *_dimension(labels, column, source), predicted, len(columns) == 1)
        for column, predicted in rows.items()
    ]
    lacking = [(tuple(each.missing), "labels without a score") for each in found]
    lacking += [(tuple(each.unlabelled), "without a label") for each in found]
    for names, what in dict.fromkeys(lacking):
        if names:
            log.warning("%d %s: %s", len(names), what, some(names, 5))
    return found


def half_intervals(labels: Sequence[Label]) -> list[float] | None:
    """Half the 95 % interval of each opinion score, NaN where not known; None where it is known of none.

    The labels' own, where a column has it; otherwise from their standard deviation and number of raters
    (`evaluate.metrics.outliers.ci95`).
    """
    halves = [label.ci95 if label.ci95 is not None else ci95(label.std, label.raters) for label in labels]
    if all(half is None for half in halves):
        return None
    return [math.nan if half is None else half for half in halves]


def groups_of(labels: Sequence[Label]) -> list[str] | None:
    """The content group of each label; None where they have none."""
    groups = [label.group for label in labels if label.group is not None]
    return groups if groups else None


def _asked(table: PredictionTable, columns: Sequence[str]) -> list[str]:
    if ALL not in columns or ALL in table.table.header:
        return list(dict.fromkeys(columns))
    if not (found := table.columns()):
        raise PredictionFileError(
            f"{table.table.path} has no column of scores: expected one of numbers beside the videos; it has:"
            f" {some(table.table.header, 40) or 'no header'}"
        )
    return found


def _dimension(labels: Sequence[Label], column: str, source: LabelSource) -> tuple[str, list[Label]]:
    """The labels with a dimension's opinion scores instead, where a further column of numbers has its name.

    Where the column of the MOS is named, it alone is judged against.
    """
    cells = [label.extra.get(column, "") for label in labels]
    is_dimension = any(cells) and all(is_missing(cell) or is_number(cell) for cell in cells)
    if not is_dimension or source.mos_column is not None or column in MOS_COLUMNS:
        return source.mos_column or "mos", list(labels)
    found = [number(cell, column) for cell in cells]
    return column, [
        replace(label, mos=mos, std=None, raters=None, ci95=None)
        for label, mos in zip(labels, found, strict=True)
        if mos is not None
    ]


def _judged(
    column: str, against: str, labels: Sequence[Label], predicted: Sequence[PredictedVideo], alone: bool
) -> Judgement:
    joined = join_predictions(predicted, labels)
    known = [label for label, _ in joined.pairs]
    mos, groups = [label.mos for label in known], groups_of(known)
    scores = [row.score for _, row in joined.pairs if row.score is not None]
    stds = [row.std if alone or column == "score" else None for _, row in joined.pairs]
    return Judgement(
        column,
        against,
        len(mos),
        joined.missing,
        joined.unlabelled,
        score_metrics(mos, scores, half_intervals(known)),
        bootstrap_intervals(mos, scores, groups),
        None if groups is None else len({*groups}),
        calibration_of(mos, scores, stds),
        {label.video: pair for label, pair in zip(known, zip(mos, scores, strict=True), strict=True)},
    )


def _labels_beside(path: Path, predicted: Sequence[PredictedVideo]) -> list[Label]:
    labels = [Label(row.video, row.mos, extra=row.extra) for row in predicted if row.mos is not None]
    if not labels:
        raise PredictionFileError(
            f"{path}: no opinion scores beside the predictions: name their column with"
            " --mos-column, or a label file with --labels"
        )
    return labels
