"""Opinion scores from every layout in which label files are passed around."""

import csv
import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from store.labels.errors import (
    DuplicateLabelError,
    LabelLayoutError,
    LabelsMissingError,
    LabelValueError,
    some,
)
from store.labels.resolve import video_id

log = logging.getLogger(__name__)

VIDEO_COLUMNS = ("video", "flickr_id", "File", "vid", "name")
MOS_COLUMNS = ("mos", "MOS", "MOSFull")
MAT_VIDEO_NAMES = ("video_names", "video_list")
MAT_MOS_NAMES = ("scores", "mos", "MOS")
SPLIT_ALIASES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}

# Texts that only look like numbers (`007`, `12e4`, ids of more digits than a float holds) name things.
_NUMBER = re.compile(r"[-+]?(0|[1-9]\d{0,14})(\.\d+(e[-+]?\d+)?)?", re.IGNORECASE)
_LAYOUTS = (
    f"expected a CSV with a header naming the video ({', '.join(VIDEO_COLUMNS)}) and its score"
    f" ({', '.join(MOS_COLUMNS)}), rows `path, duration, fps, mos` without header, or a MATLAB .mat with"
    f" {'|'.join(MAT_VIDEO_NAMES)} and {'|'.join(MAT_MOS_NAMES)}; or name the columns: the dataset's"
    " video_column and mos_column in pipelines.toml"
)


@dataclass(frozen=True)
class Label:
    """What is known about one video."""

    video: str
    """Canonical id (`store.labels.resolve.video_id`)."""
    mos: float
    """Mean opinion score on the dataset's own scale."""
    split: str | None = None
    """train, val, test or the name of a further test set, where the labels give it."""
    extra: Mapping[str, str | float] = field(default_factory=dict)
    """The other columns; numbers as float, empty and NaN cells left out."""


Row = tuple[str, str | float, str | None, Mapping[str, str | float]]
"""Name as written, score as written, split, the other columns."""


def read_labels(path: Path, video_column: str | None = None, mos_column: str | None = None) -> list[Label]:
    """The labels of a CSV, text or MATLAB file, in the file's order; the layout is recognised.

    Rows without a score are skipped and logged by name. Raises LabelsMissingError, LabelLayoutError (says
    what was found), LabelValueError (a score is no number) and DuplicateLabelError (one video, two scores).
    """
    if not path.is_file():
        raise LabelsMissingError(f"label file {path} does not exist")
    read = _mat_rows if path.suffix.lower() == ".mat" else _text_rows
    labels = _labels(path, read(path, video_column, mos_column))
    if not labels:
        raise LabelLayoutError(f"{path} holds no label with a score; {_LAYOUTS}")
    return labels


def _labels(path: Path, rows: Iterable[Row]) -> list[Label]:
    labels: dict[str, Label] = {}
    unscored: list[str] = []
    repeated: list[str] = []
    for name, written, split, extra in rows:
        video = video_id(name)
        if not video:
            raise LabelValueError(f"{path}: a row with score {written} names no video")
        mos = _score(path, name, written)
        if mos is None:
            unscored.append(video)
            continue
        label = Label(video, mos, split, extra)
        known = labels.setdefault(video, label)
        if known is label:
            continue
        if (known.mos, known.split) != (mos, split):
            raise DuplicateLabelError(
                f"{path} labels {video} twice: MOS {known.mos:g} (split {known.split}) and {mos:g}"
                f" (split {split}); keep one of the rows"
            )
        repeated.append(video)
    if unscored:
        log.warning("%s: %d rows without a score skipped: %s", path, len(unscored), some(unscored))
    if repeated:
        log.warning("%s: %d repeated rows read once: %s", path, len(repeated), some(repeated))
    return list(labels.values())


def _score(path: Path, name: str, written: str | float) -> float | None:
    """The score as a number; None where the cell is empty or NaN."""
    text = str(written).strip()
    if not text:
        return None
    try:
        mos = float(text)
    except ValueError:
        raise LabelValueError(f"{path}: the score of {name} is {text!r}, expected a number") from None
    if math.isinf(mos):
        raise LabelValueError(f"{path}: the score of {name} is infinite")
    return None if math.isnan(mos) else mos


def _text_rows(path: Path, video_column: str | None, mos_column: str | None) -> list[Row]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=_delimiter(path), skipinitialspace=True, strict=True)
            numbered = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelLayoutError(f"{path} cannot be read as comma-separated UTF-8 text ({error})") from error
    table = [(line, row) for line, row in numbered if any(row)]
    if not table:
        raise LabelLayoutError(f"{path} is empty; {_LAYOUTS}")
    header = table[0][1]
    for line, row in table:
        if len(row) != len(header):
            raise LabelLayoutError(
                f"{path}, line {line}: {len(row)} columns, expected {len(header)} as in the first line"
            )
    if video_column is None and mos_column is None and _is_headerless(header):
        return [(name, mos, None, {}) for _, (name, _, _, mos) in table]
    video = _column(path, header, video_column, VIDEO_COLUMNS)
    mos = _column(path, header, mos_column, MOS_COLUMNS)
    split = next((i for i, name in enumerate(header) if name.lower() == "split"), None)
    others = [(i, name) for i, name in enumerate(header) if i not in (video, mos, split)]
    return [
        (
            row[video],
            row[mos],
            None if split is None else _split_name(row[split]),
            {name: value for i, name in others if (value := _cell(row[i])) is not None},
        )
        for _, row in table[1:]
    ]


def _delimiter(path: Path) -> str:
    with path.open(encoding="utf-8-sig") as file:
        first = next((line for line in file if line.strip()), "")
    return max(",;\t", key=first.count)


def _is_headerless(first: Sequence[str]) -> bool:
    return len(first) == 4 and all(_is_number(cell) for cell in first[1:])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cell(text: str) -> str | float | None:
    if not text or text.lower() == "nan":
        return None
    return float(text) if _NUMBER.fullmatch(text) else text


def _split_name(text: str) -> str | None:
    name = text.lower()
    return SPLIT_ALIASES.get(name, name) or None


def _column(path: Path, header: Sequence[str], asked: str | None, known: Sequence[str]) -> int:
    """Where the column asked for stands, or the first known one; case is forgiven."""
    folded = [name.lower() for name in header]
    for name in known if asked is None else (asked,):
        if name in header:
            return header.index(name)
        if name.lower() in folded:
            return folded.index(name.lower())
    wanted = f"no column {asked!r}" if asked else f"none of the columns {', '.join(known)}"
    raise LabelLayoutError(f"{path} has {wanted}; it has: {some(header, 40)}. {_LAYOUTS}")


def _mat_rows(path: Path, video_column: str | None, mos_column: str | None) -> list[Row]:
    try:
        content = loadmat(path)
    except (MatReadError, NotImplementedError, ValueError, OSError) as error:
        raise LabelLayoutError(
            f"{path} cannot be read as a MATLAB file ({error}); files of version 7.3 must be saved again"
            " with `save -v7`"
        ) from error
    keys = [key for key in content if not key.startswith("__")]
    names_key = keys[_column(path, keys, video_column, MAT_VIDEO_NAMES)]
    mos_key = keys[_column(path, keys, mos_column, MAT_MOS_NAMES)]
    names = [_unnest(item) for item in content[names_key].ravel()]  # (N, 1) objects, each a (1,) string
    scores = [_unnest(item) for item in content[mos_key].ravel()]  # (N, 1) or (1, N)
    if len(names) != len(scores):
        raise LabelLayoutError(f"{path}: {len(names)} in {names_key}, but {len(scores)} in {mos_key}")
    return [(name, score, None, {}) for name, score in zip(names, scores, strict=True)]


def _unnest(item: object) -> str:
    """The text of a MATLAB cell, however deep the arrays around it."""
    while hasattr(item, "ravel") and hasattr(item, "dtype"):
        flat = item.ravel()
        if not len(flat):
            return ""
        item = flat[0].item() if not flat.dtype.hasobject else flat[0]
    return str(item)
