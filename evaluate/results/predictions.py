"""Predictions as a table that any model can be judged by: `video,score` at least."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

from config.errors import nearest
from evaluate.errors import NothingToCompare, PredictionFileError
from store.durable.commit import write_file
from store.labels.columns import VIDEO_COLUMNS
from store.labels.errors import LabelError, LabelValueError, shown, some
from store.labels.files import Label, written_names
from store.labels.resolve import resolve
from store.labels.tables import Table, as_name, is_missing, is_number, number, read_table


@dataclass(frozen=True)
class PredictedVideo:
    """One row of a predictions file; None where the file does not say, or the model did not."""

    video: str
    mos: float | None = None
    score: float | None = None
    """`expected`: the probability-weighted score; another model's score, in its own units."""
    std: float | None = None
    """Standard deviation of the score's distribution."""
    score_generate: float | None = None
    """`generate`: the score that the written answer states; None is a parse failure."""
    level: str | None = None
    """The true level."""
    level_pred: str | None = None
    text: str | None = None
    """The written answer."""
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Further columns, such as `distortion`."""


_MOS_COLUMNS = ("mos", "MOSFull")
_TEXTS = ("level", "level_pred", "text")
_NUMBERS = ("mos", "score", "std", "score_generate")
_COLUMNS = tuple(f.name for f in fields(PredictedVideo) if f.name != "extra")


def write_predictions(path: Path, rows: Sequence[PredictedVideo]) -> None:
    """Write the CSV atomically: `video,mos,score,std,score_generate,level,level_pred,text`, then `extra`."""
    further = list(dict.fromkeys(name for row in rows for name in row.extra))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *further])
    for row in rows:
        own = [getattr(row, name) for name in _COLUMNS]
        writer.writerow(["" if v is None else v for v in own] + [row.extra.get(name, "") for name in further])
    write_file(path, text.getvalue().encode(errors="surrogateescape"))


def read_predictions(
    path: Path, score_column: str = "score", video_column: str | None = None, mos_column: str | None = None
) -> list[PredictedVideo]:
    """Read predictions, ours or another model's, from any file that `read_table` knows.

    Without header, the first column names the video and the last is its score. A score that is empty, NaN or
    infinite becomes None. Where opinion scores stand beside the predictions, videos without names are
    called by their rows. Raises PredictionFileError for an absent file, missing columns, a score that is no
    number, or two scores of one video.
    """
    return PredictionTable.read(path, video_column, mos_column).predictions(score_column)


@dataclass(frozen=True)
class PredictionTable:
    """A file of predictions, read once for all its columns of scores."""

    table: Table
    video: int | None
    """Its column of videos."""
    mos: int | None
    """The column of the opinion scores beside the predictions."""

    @classmethod
    def read(
        cls, path: Path, video_column: str | None = None, mos_column: str | None = None, by_row: bool = False
    ) -> Self:
        """Raises PredictionFileError for an absent file or a missing column.

        With `by_row`, videos without names are called by their rows, though no opinion scores stand there.
        """
        try:
            table = read_table(path, video_column)
            video = table.find(video_column, VIDEO_COLUMNS) if table.header else 0
            mos = table.find(mos_column, _MOS_COLUMNS)
        except LabelError as error:
            raise PredictionFileError(str(error)) from None
        if video is None and mos is None and not by_row:
            raise PredictionFileError(
                f"{path}: no column names the video ({', '.join(VIDEO_COLUMNS)}); it has:"
                f" {some(table.header, 40)}. Name it with --predicted-video-column; or, where MOS stand"
                " beside the predictions, name their column with --mos-column"
            )
        return cls(table, video, mos)

    def columns(self) -> list[str]:
        """Those that may be scores: every cell a number or missing; not the videos', the MOS' nor `std`."""
        header, own = self.table.header, (self.video, self.mos)
        rows = self.table.rows
        return [
            name
            for i, name in enumerate(header)
            if name
            and i not in own
            and name.casefold() != "std"
            and all(is_number(row[i]) or _is_no_score(row[i]) for row in rows)
            and any(is_number(row[i]) for row in rows)
        ]

    def predictions(self, score_column: str = "score") -> list[PredictedVideo]:
        """The rows with the scores of one column. Raises PredictionFileError."""
        table, score = self.table, _score_place(self.table, score_column)
        mos = None if self.mos == score else self.mos
        predictions: dict[str, PredictedVideo] = {}
        for place, row in zip(table.places, table.rows, strict=True):
            name = place if self.video is None else as_name(row[self.video])
            if not name or name in predictions:
                fault = f"a second prediction of {shown(name)}" if name else "the row names no video"
                raise PredictionFileError(f"{table.path}, {place}: {fault}")
            columns = list(zip(table.header, row, strict=False))  # no header, no columns
            cells = {**dict(columns), "score": row[score], "mos": "" if mos is None else row[mos]}
            extra = {
                column: cell
                for i, (column, cell) in enumerate(columns)
                if cell and column not in _COLUMNS and i not in (self.video, score, mos)
            }
            predictions[name] = _predicted(f"{table.path}, {place}", name, cells, extra)
        return list(predictions.values())


def _score_place(table: Table, column: str) -> int:
    if not table.header:
        return -1 % len(table.rows[0])
    place = table.find(None, (column,))
    if place is None:
        raise PredictionFileError(
            f"{table.path}: no column {column!r} with the scores{nearest(column, table.header)}; it has:"
            f" {some(table.header, 40)}. Name the column with --score-column"
        )
    return place


def _predicted(where: str, video: str, cells: Mapping[str, str], extra: Mapping[str, str]) -> PredictedVideo:
    numbers = {name: _number(f"{where}: {name}", cells.get(name, "")) for name in _NUMBERS}
    texts = {name: cells.get(name) or None for name in _TEXTS}
    return PredictedVideo(video, **numbers, **texts, extra=extra)  # type: ignore[arg-type]


def _is_no_score(text: str) -> bool:
    return is_missing(text) or text.lower().lstrip("+-") in ("inf", "infinity")


def _number(what: str, text: str) -> float | None:
    if _is_no_score(text):
        return None
    try:
        return number(text, what)
    except LabelValueError as error:
        raise PredictionFileError(str(error)) from None


@dataclass(frozen=True)
class JoinedPredictions:
    """Predictions beside their labels; whatever has no partner is here by name."""

    pairs: list[tuple[Label, PredictedVideo]]
    """In the labels' order, only predictions that have a score."""
    missing: list[str]
    """Labelled videos without a prediction, or with one that has no score."""
    unlabelled: list[str]
    """Predicted videos without a label."""


def join_predictions(predictions: Iterable[PredictedVideo], labels: Sequence[Label]) -> JoinedPredictions:
    """Join by video (`store.labels.resolve`).

    Raises NothingToCompare where no video has both, AmbiguousVideoError where the names do not decide.
    """
    by_name = {prediction.video: prediction for prediction in predictions}
    coverage = resolve([label.video for label in labels], by_name, written=written_names(labels))
    partner = {video: by_name[name] for video, name in coverage.found.items()}
    pairs = [(label, row) for label in labels if (row := partner.get(label.video)) and row.score is not None]
    if not pairs:
        raise NothingToCompare(
            f"none of {len(by_name)} predictions ({some(list(by_name), 3)}) has a score and belongs to one of"
            f" {len(labels)} labels ({some([label.video for label in labels], 3)})"
        )
    scored = {label.video for label, _ in pairs}
    missing = [label.video for label in labels if label.video not in scored]
    return JoinedPredictions(pairs, missing, coverage.extra)
