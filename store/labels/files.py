"""Opinion scores from every layout in which label files are passed around."""

import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from store.labels.errors import DuplicateLabelError, LabelLayoutError, LabelValueError, shown, some
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
    "raters",
    "n_raters",
    "num_raters",
    "ratings",
    "n_ratings",
    "num_ratings",
    "votes",
    "x_Subjects",
)
SPLIT_ALIASES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}

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


def read_labels(path: Path, columns: Columns = Columns()) -> list[Label]:
    """The labels of a file, in its order; the layout is recognised (`read_table`), columns are known by name.

    Rows without a score are skipped and logged by name. Raises LabelsMissingError, LabelLayoutError (says
    what was found), LabelValueError (a score is no number) and DuplicateLabelError (one video, two scores).
    """
    return distinct(read_rows(path, columns), str(path))


def read_rows(path: Path, columns: Columns) -> list[Label]:
    """As `read_labels`, a label for every row with a score, whatever video it names."""
    table = read_table(path, columns.video)
    video, mos = _place(table, columns.video, VIDEO_COLUMNS, 0), _place(table, columns.mos, MOS_COLUMNS, -1)
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
        count = _count(table, row, raters, place, columns.raters is not None)
        measure = _measure(table, row, spread, place, columns.spread is not None)
        labels.append(
            Label(
                video_id(name),
                score,
                None if split is None else split_name(row[split]),
                {name: row[i] for i, name in others if not is_missing(row[i])},
                None
                if measure is None or spread is None
                else _std(measure, table.header[spread].lower(), count),
                None if count is None else int(count),
                written=name,
            )
        )
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


def _place(table: Table, asked: str | None, known: Sequence[str], without_header: int) -> int:
    place = table.find(asked, known)
    if place is not None:
        return place
    if not table.header:
        _require_known_width(table)
        return without_header
    raise LabelLayoutError(
        f"{table.path} has none of the columns {', '.join(known)}; it has: {some(table.header, 40)}."
        f" {_LAYOUTS}"
    )


def _require_known_width(table: Table) -> None:
    width = len(table.rows[0])
    if width not in (2, 4):
        raise LabelLayoutError(
            f"{table.path} has no header and {width} columns, so that it cannot be said which is the score;"
            f" write a first line with their names; {_LAYOUTS}"
        )


def split_name(text: str) -> str | None:
    """The split that a cell or key names: train, val, test or another in lower case; None where missing."""
    name = "" if is_missing(text) else text.lower()
    return SPLIT_ALIASES.get(name, name) or None


def _measure(table: Table, row: Sequence[str], column: int | None, place: str, asked: bool) -> float | None:
    """The cell's number; a column that was only guessed need not hold one."""
    if column is None or not (asked or is_number(row[column])):
        return None
    return number(row[column], f"{table.path}, {place}: {table.header[column]}")


def _count(table: Table, row: Sequence[str], column: int | None, place: str, asked: bool) -> float | None:
    """As `_measure`, a number of people; those of a guessed column that cannot be one are left out."""
    count = _measure(table, row, column, place, asked)
    if count is None or column is None or (count >= 0 and count.is_integer() and "," not in row[column]):
        return count
    if not asked:
        return None
    raise LabelValueError(
        f"{table.path}, {place}: {table.header[column]} is {row[column]!r}, expected a whole number of people"
        " without separators"
    )


def _std(spread: float, name: str, raters: float | None) -> float | None:
    if "var" in name:
        return math.sqrt(max(spread, 0))
    if "ci" in name:
        return spread / 1.96 * math.sqrt(raters) if raters and raters > 0 else None
    return spread
