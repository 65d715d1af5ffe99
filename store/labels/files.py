"""Opinion scores from every layout in which label files are passed around, and the scale that they are on."""

import logging
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from store.labels.errors import (
    DuplicateLabelError,
    LabelLayoutError,
    LabelValueError,
    MosRangeError,
    shown,
    some,
)
from store.labels.resolve import full_id, video_id
from store.labels.tables import Table, as_name, is_missing, is_number, number, read_table

log = logging.getLogger(__name__)

VIDEO_COLUMNS = (
    *("video", "flickr_id", "file", "vid", "name", "video_name", "video_id", "video_path", "filename"),
    *("file_name", "path", "image_id", "video_names", "video_list"),
)
MOS_COLUMNS = ("mos", "MOSFull", "score", "scores")
SPLIT_COLUMNS = ("split",)
SPREAD_COLUMNS = (
    *("std", "sd", "stddev", "mos_std", "std_mos", "stdFull", "mos_sd"),
    *("var", "variance", "mos_var", "ci", "ci95", "mos_ci", "mos_ci95"),
)
RATERS_COLUMNS = (
    *("raters", "n_raters", "num_raters", "ratings", "n_ratings", "num_ratings", "votes", "x_Subjects"),
)
SPLIT_ALIASES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}

_PEOPLE = re.compile(r"\+?[0-9]+(\.0*)?")
_LAYOUTS = (
    "expected a table (text, .xlsx, .json or .mat) with a column for the video"
    f" ({', '.join(VIDEO_COLUMNS)}) and one for its score ({', '.join(MOS_COLUMNS)}), or, without header,"
    " rows such as `path, score` or `path, duration, fps, score`; or name the columns: the dataset's"
    " video_column and mos_column in pipelines.toml"
)


@dataclass(frozen=True)
class Columns:
    """Names of a label file's columns, where they are not recognised by themselves."""

    video: str | None = None
    mos: str | None = None
    split: str | None = None
    spread: str | None = None
    """Standard deviation; variance or the half of a 95 % interval where the name says so (`var…`, `…ci…`)."""
    raters: str | None = None


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


@dataclass(frozen=True)
class MosScale:
    """A dataset's opinion scale, from its worst to its best score; the best may be the lower one (DMOS).

    0–100, to which it is mapped by a line, is the same for all datasets: 100 is always best.
    """

    worst: float
    best: float

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
        return abs(mos - self.worst) / (self.high - self.low) * 100

    def from_100(self, score: float) -> float:
        """Points of 0–100 as a score of the dataset's scale; predictions are not bounded."""
        return self.worst + score / 100 * (self.best - self.worst)


def read_labels(path: Path, columns: Columns = Columns()) -> list[Label]:
    """The labels of a file, in its order; the layout is recognised (`read_table`), columns are known by name.

    Rows without a score are skipped and logged by name. Raises LabelsMissingError, LabelLayoutError (says
    what was found), LabelValueError (a score is no number) and DuplicateLabelError (one video, two scores).
    """
    return distinct(read_rows(path, columns), str(path))


def read_rows(path: Path, columns: Columns) -> list[Label]:
    """As `read_labels`, a label for every row with a score, whatever video it names."""
    table = read_table(path, columns.video)
    video = _required(table, columns.video, VIDEO_COLUMNS, without_header=0)
    mos = _required(table, columns.mos, MOS_COLUMNS, without_header=-1)
    split = table.find(columns.split, SPLIT_COLUMNS)
    spread = table.find(columns.spread, SPREAD_COLUMNS)
    raters = table.find(columns.raters, RATERS_COLUMNS)
    own = (video, mos, split, spread, raters)
    others = [(i, name) for i, name in enumerate(table.header) if i not in own and name]
    labels, unscored = [], []
    for place, row in zip(table.places, table.rows, strict=True):
        name = as_name(row[video])
        if not video_id(name):
            raise LabelValueError(f"{path}, {place}: a row with score {row[mos]} names no video")
        score = number(row[mos], f"{path}, {place}: the score of {shown(name)}")
        if score is None:
            unscored.append(name)
            continue
        label = Label(
            video_id(name),
            score,
            split=None if split is None else split_name(row[split]),
            extra={other: row[i] for i, other in others if not is_missing(row[i])},
            written=name,
        )
        if raters is not None:
            what = f"{path}, {place}: {table.header[raters]}"
            label = replace(label, raters=_people(row[raters], what, columns.raters is not None))
        # A column that was only guessed need not hold numbers.
        if spread is not None and (columns.spread is not None or is_number(row[spread])):
            value = number(row[spread], f"{path}, {place}: {table.header[spread]}")
            label = replace(label, std=_std(value, table.header[spread].lower(), label.raters))
        labels.append(label)
    if unscored:
        log.warning("%s: %d rows without a score skipped: %s", path, len(unscored), some(unscored))
    if not labels:
        raise LabelLayoutError(f"{path} holds no label with a score; {_LAYOUTS}")
    return labels


def distinct(labels: Sequence[Label], source: str) -> list[Label]:
    """One label for each video, in order; those that differ in suffix or extension alone keep it in their id.

    Rows that say the same are read once, and logged. Raises DuplicateLabelError where one video has two
    scores or splits.
    """
    endings: dict[str, set[str]] = defaultdict(set)
    for label in labels:
        endings[label.video].add(full_id(label.written or label.video))
    known: dict[str, Label] = {}
    repeated = []
    for label in labels:
        several = len(endings[label.video]) > 1 and label.video not in endings[label.video]
        own = replace(label, video=full_id(label.written)) if several else label
        first = known.setdefault(own.video, own)
        if first is own:
            continue
        if (first.mos, first.split) != (own.mos, own.split):
            raise DuplicateLabelError(
                f"{source} labels {shown(own.video)} twice: MOS {first.mos:g} (split {first.split}) and"
                f" {own.mos:g} (split {own.split}); a video may be in one row and one split only"
            )
        repeated.append(own.video)
    if repeated:
        log.warning("%s: %d repeated rows read once: %s", source, len(repeated), some(repeated))
    return list(known.values())


def written_names(labels: Sequence[Label]) -> dict[str, str]:
    """Id → name as the label file has it, for `resolve`."""
    return {label.video: label.written or label.video for label in labels}


def split_name(text: str) -> str | None:
    """The split that a cell or key names: train, val, test or another in lower case; None where missing."""
    name = "" if is_missing(text) else text.lower()
    return SPLIT_ALIASES.get(name, name) or None


def _required(table: Table, asked: str | None, known: Sequence[str], without_header: int) -> int:
    place = table.find(asked, known)
    if place is not None:
        return place
    if table.header:
        has = some(table.header, 40)
        raise LabelLayoutError(
            f"{table.path} has none of the columns {', '.join(known)}; it has: {has}. {_LAYOUTS}"
        )
    if len(table.rows[0]) not in (2, 4):
        raise LabelLayoutError(
            f"{table.path} has no header and {len(table.rows[0])} columns, so that it cannot be said which is"
            f" the score; write a first line with their names; {_LAYOUTS}"
        )
    return without_header


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
    if spread is not None and "ci" in column:
        return spread / 1.96 * math.sqrt(raters) if raters else None
    return spread
