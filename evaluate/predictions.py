"""Predictions as a CSV that any model can be judged by: `video,score` at least."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from evaluate.errors import NothingToCompare, PredictionFileError
from store.durable.commit import write_file
from store.labels.errors import some
from store.labels.files import VIDEO_COLUMNS, Label
from store.labels.resolve import resolve


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
    write_file(path, text.getvalue().encode())


def read_predictions(path: Path, score_column: str = "score") -> list[PredictedVideo]:
    """Read a predictions CSV, ours or another model's; an empty or NaN score becomes None.

    Raises PredictionFileError for an absent file, missing columns, a score that is no number, or two scores
    of one video.
    """
    header, rows = _rows(path)
    video_column = next((name for name in VIDEO_COLUMNS if name in header), None)
    if video_column is None or score_column not in header:
        raise PredictionFileError(
            f"{path}: expected a column `video` ({', '.join(VIDEO_COLUMNS)}) and a column {score_column!r},"
            f" as in `video,score`; found {', '.join(header)}"
        )
    known = {video_column, score_column, *_COLUMNS}
    predictions: dict[str, PredictedVideo] = {}
    for line, row in rows:
        cells = {**row, "score": row[score_column]}
        numbers = {name: _number(path, line, name, cells.get(name, "")) for name in _NUMBERS}
        texts = {name: cells.get(name) or None for name in _TEXTS}
        extra = {name: value for name, value in row.items() if name not in known and value}
        video = row[video_column].strip()
        if not video or video in predictions:
            fault = f"a second prediction of {video}" if video else "the row names no video"
            raise PredictionFileError(f"{path}: line {line}: {fault}")
        predictions[video] = PredictedVideo(video, **numbers, **texts, extra=extra)  # type: ignore[arg-type]
    return list(predictions.values())


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
    """Join by video, forgiving folders, suffixes and extensions (store.labels.resolve).

    Raises NothingToCompare where no video has both, AmbiguousVideoError where the names do not decide.
    """
    by_name = {prediction.video: prediction for prediction in predictions}
    coverage = resolve([label.video for label in labels], by_name)
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


def _rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, skipinitialspace=True)
            numbered = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise PredictionFileError(f"{path}: no such file of predictions") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PredictionFileError(f"{path}: not a readable CSV in UTF-8: {error}") from None
    if not numbered:
        raise PredictionFileError(f"{path}: the file is empty; expected a CSV such as `video,score`")
    header = [name.strip() for name in numbered[0][1]]
    for line, row in numbered[1:]:
        if len(row) != len(header):
            raise PredictionFileError(f"{path}: line {line} has {len(row)} cells, expected {len(header)}")
    return header, [(line, dict(zip(header, row, strict=True))) for line, row in numbered[1:]]


def _number(path: Path, line: int, column: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        raise PredictionFileError(f"{path}: line {line}: {column} is {text!r}, not a number") from None
    return number if math.isfinite(number) else None
