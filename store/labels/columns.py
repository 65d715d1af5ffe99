"""Which column of a table says what: known by its name, or named by the dataset's settings."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from config.errors import nearest
from store.labels.errors import LabelLayoutError, some
from store.labels.resolve import full_id
from store.labels.tables import Table, as_name, read_table

VIDEO_COLUMNS = (
    *("video", "flickr_id", "file", "vid", "name", "video_name", "video_id", "video_path", "filename"),
    *("file_name", "path", "image_id", "video_names", "video_list", "file names"),
)
MOS_COLUMNS = ("mos", "MOSFull", "score", "scores", "gt_score", "O")
"""`O` is the overall opinion in MaxWell, beside its dimensions `A-1` … `T-all`."""
SPLIT_COLUMNS = ("split",)
SPREAD_COLUMNS = (
    *("std", "sd", "stddev", "mos_std", "std_mos", "stdFull", "mos_sd"),
    *("var", "variance", "mos_var", "ci", "ci95", "mos_ci", "mos_ci95"),
)
RATERS_COLUMNS = (
    *("raters", "n_raters", "num_raters", "ratings", "n_ratings", "num_ratings", "votes", "x_Subjects"),
)
_PEOPLE = ("rater", "subject", "observer", "participant", "annotator", "viewer", "worker", "user")
RATER_COLUMNS = (*_PEOPLE, *(f"{who}{ending}" for who in _PEOPLE for ending in ("_id", "id", " id")))
_RATING_COLUMNS = ("score", "rating", "opinion", "vote")
_OF_ONE_RATER = re.compile(rf"({'|'.join(_PEOPLE)})[ _-]?[0-9]+", re.IGNORECASE)

LAYOUTS = (
    "expected a table (text, .xlsx, .json, .jsonl or .mat) with a column for the video"
    f" ({', '.join(VIDEO_COLUMNS)}) and one for its score ({', '.join(MOS_COLUMNS)}), or, without header,"
    " rows such as `path, score` or `path, duration, fps, score`; or conversations whose answers are scores;"
    " or name the columns: the dataset's video_column and mos_column in pipelines.toml"
)


@dataclass(frozen=True)
class Columns:
    """What of a label file is where, as far as it is not recognised by itself: see DatasetSettings."""

    video: str | None = None
    mos: str | None = None
    split: str | None = None
    spread: str | None = None
    """Standard deviation; variance or the half of a 95 % interval where the name says so (`var…`, `…ci…`)."""
    raters: str | None = None
    rater: str | None = None
    """Who gave a row's score, where a video has a row for each rater."""
    scores: tuple[str, ...] = ()
    """Names, or patterns such as `subject*`, of columns that each hold one rater's scores."""
    names: Path | tuple[str, ...] | None = None
    """Names of the videos of a label file that names none, row by row: a file of them, or themselves."""
    not_rated: tuple[float, ...] = ()
    """Numbers that mean that there is no score."""


@dataclass(frozen=True)
class Places:
    """Numbers of a table's columns."""

    video: int
    scores: list[int]
    """The column of the scores; where it is one a rater, all of them."""
    rater: int | None
    per_rater: bool
    """Whether a score is one person's opinion."""
    split: int | None
    spread: int | None = None
    raters: int | None = None


def with_names(table: Table, names: Path | Sequence[str]) -> Table:
    """The table with a first column `video` from elsewhere, row by row.

    Raises LabelLayoutError where the table has such a column, or another number of rows.
    """
    source = f"video_names = {names}" if isinstance(names, Path) else "joining by row"
    if (place := table.find(None, VIDEO_COLUMNS)) is not None:
        raise LabelLayoutError(
            f"{table.path} names its videos in column {table.header[place]!r}, so that {source}"
            " is not needed: expected it for label files that name none"
        )
    videos = videos_of(names) if isinstance(names, Path) else names
    if len(videos) != len(table.rows):
        raise LabelLayoutError(
            f"{names if isinstance(names, Path) else 'the other file'} has {len(videos)} rows, {table.path}"
            f" has {len(table.rows)}: expected one name for each"
        )
    rows = [[video, *row] for video, row in zip(videos, table.rows, strict=True)]
    return replace(table, header=["video", *table.header], rows=rows)


def videos_of(path: Path, video_column: str | None = None) -> list[str]:
    """The videos that a file's rows name: a label file, or a list with one name a line.

    Raises LabelsMissingError and LabelLayoutError.
    """
    table = read_table(path, video_column)
    asked = video_column if video_column in table.header else None
    if len(table.header) == 1 and table.find(asked, VIDEO_COLUMNS) is None:
        return [as_name(cell) for cell in (*table.header, *(row[0] for row in table.rows))]
    place = _video(table, asked)
    return [as_name(row[place]) for row in table.rows]


def upright(table: Table, mos_column: str | None) -> Table:
    """The table with a row for each video, where the file has a column for each and a row `MOS`."""
    known = {name.casefold() for name in (MOS_COLUMNS if mos_column is None else (mos_column,))}
    first = [row[0].casefold() for row in table.rows if table.header]
    if not known.isdisjoint(name.casefold() for name in table.header) or known.isdisjoint(first):
        return table
    header, *rows = (list(cells) for cells in zip(table.header, *table.rows, strict=True))
    return Table(table.path, header, rows, [f"column {i}" for i in range(2, len(rows) + 2)])


def places(table: Table, columns: Columns) -> Places:
    """Where everything stands. Raises LabelLayoutError, which says what was found."""
    video = _video(table, columns.video)
    rater = table.find(columns.rater, RATER_COLUMNS)
    if columns.rater is None and rater is not None:
        names = [full_id(row[video]) for row in table.rows]
        rater = rater if len(set(names)) < len(names) else None
    scores = _rater_columns(table, columns, video) if rater is None else []
    if not scores:
        known = MOS_COLUMNS if rater is None else (*_RATING_COLUMNS, *MOS_COLUMNS)
        scores = [_required(table, columns.mos, known, without_header=-1)]
    split = table.find(columns.split, SPLIT_COLUMNS)
    per_rater = rater is not None or len(scores) > 1 or bool(columns.scores)
    found = Places(video, scores, rater, per_rater, split)
    if per_rater:
        return found
    spread, raters = table.find(columns.spread, SPREAD_COLUMNS), table.find(columns.raters, RATERS_COLUMNS)
    return replace(found, spread=spread, raters=raters)


def _video(table: Table, asked: str | None) -> int:
    if asked is None and table.header[:1] == [""] and table.find(None, VIDEO_COLUMNS) is None:
        first = [row[0] for row in table.rows]
        if not any(first == [str(i + start) for i in range(len(first))] for start in (0, 1)):
            return 0
    return _required(table, asked, VIDEO_COLUMNS, without_header=0)


def _rater_columns(table: Table, columns: Columns, video: int) -> list[int]:
    names = {i: name.casefold() for i, name in enumerate(table.header) if i != video}
    if columns.scores:
        found = {p: [i for i in names if fnmatchcase(names[i], p.casefold())] for p in columns.scores}
        for pattern in (pattern for pattern, those in found.items() if not those):
            raise LabelLayoutError(
                f"{table.path} has no column {pattern!r}, as score_columns says"
                f"{nearest(pattern, table.header)}; it has: {some(table.header, 40) or 'no header'}"
            )
        return sorted({i for those in found.values() for i in those})
    if columns.mos is not None or table.find(None, MOS_COLUMNS) is not None:
        return []
    own = [i for i, name in names.items() if _OF_ONE_RATER.fullmatch(name)]
    return own if len(own) > 1 else []


def _required(table: Table, asked: str | None, known: Sequence[str], without_header: int) -> int:
    place = table.find(asked, known)
    if place is not None:
        return place
    if table.header:
        has = some(table.header, 40)
        raise LabelLayoutError(
            f"{table.path} has none of the columns {', '.join(known)}; it has: {has}. {LAYOUTS}"
        )
    if len(table.rows[0]) not in (2, 4):
        raise LabelLayoutError(
            f"{table.path} has no header and {len(table.rows[0])} columns, so that it cannot be said which is"
            f" the score; write a first line with their names; {LAYOUTS}"
        )
    return without_header
