"""Opinion scores from every layout in which label files are passed around, and the scale that they are on."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from config.schema import AlignmentSettings, DatasetSettings
from store.labels.columns import LAYOUTS, Columns, Places, places, upright, with_names
from store.labels.errors import LabelLayoutError, LabelValueError, MosRangeError, shown, some
from store.labels.resolve import video_id
from store.labels.tables import Table, as_name, is_missing, is_number, number, read_table

log = logging.getLogger(__name__)

SPLIT_ALIASES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}

_PEOPLE = re.compile(r"\+?[0-9]+(\.0*)?")


@dataclass(frozen=True)
class Label:
    """What is known about one video."""

    video: str
    """Canonical id (`video_id`); with the ending (`full_id`) where labels differ in that alone."""
    mos: float
    """Mean opinion score on the dataset's own scale."""
    split: str | None = None
    """train, val, test or the name of a further test set, where the labels give it."""
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The other columns as written; empty and NaN cells left out."""
    std: float | None = None
    """Standard deviation of the single opinions, on the dataset's own scale."""
    raters: int | None = None
    """How many people gave one."""
    group: str | None = None
    """Content group, by the dataset's settings."""
    written: str = field(default="", compare=False)
    """The video's name as the file has it."""
    rater: str | None = None
    """Who gave this score, in `read_rows` of a file with the scores of each."""
    ci95: float | None = None
    """Half the 95 % confidence interval of `mos`, where a column has it, on the dataset's own scale."""


@dataclass(frozen=True)
class MosScale:
    """A dataset's opinion scale, from its worst to its best score; the best may be the lower one (DMOS).

    0–100, to which it is mapped by a line, is the same for all datasets: 100 is always best. Scores that are
    `aligned` with other datasets' may leave 0–100 a little.
    """

    worst: float
    best: float
    aligned: AlignmentSettings | None = None
    """None: the ends are 0 and 100."""

    @classmethod
    def of(cls, dataset: DatasetSettings) -> Self:
        """The scale of the dataset's labels."""
        return cls(*dataset.mos_range, dataset.aligned)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.worst) and math.isfinite(self.best) and self.worst != self.best):
            raise MosRangeError(
                "mos_range must be (worst, best), two different finite numbers, not"
                f" ({self.worst:g}, {self.best:g})"
            )

    @property
    def low(self) -> float:
        """The lower end, whichever it means."""
        return min(self.worst, self.best)

    @property
    def high(self) -> float:
        """The upper end, whichever it means."""
        return max(self.worst, self.best)

    def __contains__(self, mos: float) -> bool:
        return self.low <= mos <= self.high

    def to_100(self, mos: float) -> float:
        """A score of the dataset's scale as points of 0–100. Raises MosRangeError outside the scale."""
        if mos not in self:
            raise MosRangeError(
                f"MOS {mos:g} lies outside the declared range {self.low:g}–{self.high:g}:"
                " correct the dataset's mos_range or the label"
            )
        points = abs(mos - self.worst) / (self.high - self.low) * 100
        if self.aligned is not None:
            points = 100 * (1 - self.aligned.intercept) - self.aligned.slope * (100 - points)
        return points

    def from_100(self, score: float) -> float:
        """Points of 0–100 as a score of the dataset's scale; predictions are not bounded."""
        if self.aligned is not None:
            score = 100 - (100 * (1 - self.aligned.intercept) - score) / self.aligned.slope
        return self.worst + score / 100 * (self.best - self.worst)

    def width_from_100(self, width: float) -> float:
        """A difference of points of 0–100, such as a standard deviation, in units of the dataset's scale."""
        slope = 1.0 if self.aligned is None else self.aligned.slope
        return width / slope * (self.high - self.low) / 100


def read_rows(path: Path, columns: Columns) -> list[Label]:
    """A label for every score in a file, whatever video it is of: several a row where raters have columns.

    Rows without a score are skipped and logged by name; where another row has the video's, their other
    columns are added to it. Raises LabelsMissingError, LabelLayoutError and LabelValueError.
    """
    table = read_table(path, columns.video)
    if columns.names is not None:
        table = with_names(table, columns.names)
    table = upright(table, columns.mos)
    at = places(table, columns)
    labels, unscored = list[Label](), list[Label]()
    for place, row in zip(table.places, table.rows, strict=True):
        label = _without_score(table, place, row, at, columns)
        for i in at.scores:
            by = None if not at.per_rater else table.header[i] if at.rater is None else row[at.rater]
            what = f"{path}, {place}: the score of {shown(label.written)}{f' by {shown(by)}' if by else ''}"
            score = number(row[i], what)
            if score is None or score in columns.not_rated:
                unscored.append(label)
            elif by is not None and is_missing(by):
                raise LabelValueError(f"{what}: expected in each row who gave its score")
            else:
                labels.append(replace(label, mos=score, rater=by))
    if not labels:
        raise LabelLayoutError(f"{path} holds no label with a score in {len(table.rows)} rows; {LAYOUTS}")
    scored = {label.video for label in labels}
    without = list(dict.fromkeys(label.written for label in unscored if label.video not in scored))
    if without:
        log.warning("%s: %d rows without a score skipped: %s", path, len(without), some(without))
    if at.per_rater:
        log.info("%s: %d of %d scores are missing", path, len(unscored), len(unscored) + len(labels))
        if {label.mos for label in labels if label.mos < 0} == {-1}:
            log.warning("%s has scores of -1: if they mean that there is none, set not_rated = [-1]", path)
        return labels
    further = {label.video: label.extra for label in unscored if label.video in scored}
    if not further:
        return labels
    return [replace(label, extra={**further.get(label.video, {}), **label.extra}) for label in labels]


def _without_score(table: Table, place: str, row: Sequence[str], at: Places, columns: Columns) -> Label:
    where, name = f"{table.path}, {place}", as_name(row[at.video])
    if not video_id(name):
        raise LabelValueError(f"{where}: a row with score {row[at.scores[0]]} names no video")
    own = (at.video, *at.scores, at.rater, at.split, at.spread, at.raters)
    extra = {
        other: row[i]
        for i, other in enumerate(table.header)
        if other and i not in own and not is_missing(row[i])
    }
    split = None if at.split is None else split_name(row[at.split])
    label = Label(video_id(name), math.nan, split, extra, written=name)
    if at.raters is not None:
        what = f"{where}: {table.header[at.raters]}"
        label = replace(label, raters=_people(row[at.raters], what, columns.raters is not None))
    # A column that was only guessed need not hold numbers.
    if at.spread is not None and (columns.spread is not None or is_number(row[at.spread])):
        value, column = number(row[at.spread], f"{where}: {table.header[at.spread]}"), table.header[at.spread]
        label = replace(label, std=_std(value, column.lower(), label.raters))
        label = replace(label, ci95=value if _is_interval(column.lower()) else None)
    return label


def written_names(labels: Sequence[Label]) -> dict[str, str]:
    """Id → name as the label file has it, for `resolve`."""
    return {label.video: label.written or label.video for label in labels}


def split_name(text: str) -> str | None:
    """The split that a cell or key names: train, val, test or another in lower case; None where missing."""
    name = "" if is_missing(text) else text.lower()
    return SPLIT_ALIASES.get(name, name) or None


def _people(text: str, what: str, asked: bool) -> int | None:
    """A number of people; what cannot be one is left out where the column was only guessed."""
    if _PEOPLE.fullmatch(text):
        return int(text.partition(".")[0])
    if asked and not is_missing(text):
        raise LabelValueError(f"{what} is {text!r}, expected a whole number of people without separators")
    return None


def _std(spread: float | None, column: str, raters: int | None) -> float | None:
    if spread is not None and "var" in column:
        return math.sqrt(max(spread, 0))
    if spread is not None and _is_interval(column):
        return spread / 1.96 * math.sqrt(raters) if raters else None
    return spread


def _is_interval(column: str) -> bool:
    return "ci" in column and "var" not in column
