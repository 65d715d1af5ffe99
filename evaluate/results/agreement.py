"""Judge a file of predictions, of whatever model, against a label file, of whatever layout."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluate.errors import PredictionFileError
from evaluate.metrics.scores import Intervals, Metrics, bootstrap_intervals, score_metrics
from evaluate.results.predictions import PredictedVideo, join_predictions, read_predictions
from store.labels.columns import Columns
from store.labels.errors import some
from store.labels.files import Label
from store.labels.merging import read_labels

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judgement:
    """Metrics of the predictions, and the videos that they do not cover."""

    n: int
    missing: list[str]
    """Labelled videos without a score."""
    unlabelled: list[str]
    metrics: Metrics
    intervals: Intervals

    def as_json(self) -> dict[str, Any]:
        """Plain data; NaN does not occur, what is undefined is None."""
        figures = asdict(self.metrics)
        note = figures.pop("note")
        del figures["n"]
        return {
            "n": self.n,
            "missing": self.missing,
            "unlabelled": self.unlabelled,
            "metrics": figures,
            "intervals": asdict(self.intervals),
            "note": note,
        }

    def lines(self) -> list[str]:
        """The figures for a person."""
        shown = []
        for name, value in asdict(self.metrics).items():
            if name in ("n", "note"):
                continue
            interval = getattr(self.intervals, name, None)
            span = f"  [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else ""
            shown.append(f"{name:<9}{'undefined' if value is None else format(value, '.4f')}{span}")
        head = f"{self.n} videos" + (f"; {self.metrics.note}" if self.metrics.note else "")
        return [head, *shown]


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
    beside = mos_column if labels is None else None
    predicted = read_predictions(predictions, score_column, predicted_video_column, beside)
    known = (
        _labels_beside(predictions, predicted)
        if labels is None
        else read_labels(labels, Columns(video_column, mos_column))
    )
    joined = join_predictions(predicted, known)
    for names, what in ((joined.missing, "labels without a score"), (joined.unlabelled, "without a label")):
        if names:
            log.warning("%d %s: %s", len(names), what, some(names, 5))
    mos = [label.mos for label, _ in joined.pairs]
    scores = [row.score for _, row in joined.pairs if row.score is not None]
    return Judgement(
        len(mos),
        joined.missing,
        joined.unlabelled,
        score_metrics(mos, scores),
        bootstrap_intervals(mos, scores),
    )


def _labels_beside(path: Path, predicted: Sequence[PredictedVideo]) -> list[Label]:
    labels = [Label(row.video, row.mos) for row in predicted if row.mos is not None]
    if not labels:
        raise PredictionFileError(
            f"{path}: no opinion scores beside the predictions: name their column with"
            " --mos-column, or a label file with --labels"
        )
    return labels
