"""One table of texts from every kind of file that labels and predictions are passed around in."""

import csv
import io
import math
import pickle
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from config.errors import nearest, refusing
from store.labels.entries import read_entries
from store.labels.errors import LabelLayoutError, LabelsMissingError, LabelValueError, some
from store.labels.resolve import EXTENSIONS

# In the order of preference where the first line falls into equally many cells: a decimal comma is none.
_DELIMITERS = ("\t", ";", ",", " ")
_MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "-", "–", "—"})
# Python's own float() also reads `3_5` and digits of any script.
_NUMBER = re.compile(r"[-+]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)(e[-+]?[0-9]+)?", re.IGNORECASE)
# A name and numbers with decimal commas, between spaces: `a.mp4 3,5`.
_SPACED = re.compile(r"([^\s,;]+)( +[-+]?[0-9]+(,[0-9]+)?)+")
_ID_AS_FLOAT = re.compile(r"[0-9]+\.0+")
# As spreadsheets have it in their first line.
_DECLARED = re.compile(r"\s*sep=(.)[ \t]*(?=[\r\n]|\Z)", re.IGNORECASE)
_READ_MATLAB = """
import pickle, sys
from scipy.io import loadmat
try:
    content = loadmat(sys.argv[1])
except Exception as error:
    content = f"{type(error).__name__}: {error}"
pickle.dump(content, sys.stdout.buffer, protocol=5)
"""


@dataclass(frozen=True)
class Table:
    """Rows of texts, all as wide as the header."""

    path: Path
    header: list[str]
    """Names of the columns; empty for a file without header."""
    rows: list[list[str]]
    places: list[str]
    """Where each row stands in the file, as in `line 3`."""

    def find(self, asked: str | None, known: Sequence[str]) -> int | None:
        """Where the column asked for stands, or else the first known one; case is forgiven.

        None where no known column is there. Raises LabelLayoutError, naming the nearest, where the one asked
        for is not.
        """
        folded = [name.casefold() for name in self.header]
        for name in known if asked is None else (asked,):
            if name in self.header:
                return self.header.index(name)
            if name.casefold() in folded:
                return folded.index(name.casefold())
        if asked is not None:
            has = some(self.header, 40) or "no header"
            raise LabelLayoutError(
                f"{self.path} has no column {asked!r}{nearest(asked, self.header)}; it has: {has}"
            )
        return None


def is_missing(text: str) -> bool:
    """Whether a cell says that there is no value: empty, NA, N/A, NaN, null or a dash."""
    return text.casefold() in _MISSING


def is_number(text: str) -> bool:
    """Whether the text is one plain number, with a decimal point or comma."""
    return _NUMBER.fullmatch(text) is not None


def number(text: str, what: str) -> float | None:
    """The number, with a decimal point or comma; None where there is no value.

    Raises LabelValueError, which begins with `what`, for anything else and for what is too large for a float.
    """
    if is_missing(text):
        return None
    value = float(text.replace(",", ".")) if is_number(text) else math.nan
    if not math.isfinite(value):
        raise LabelValueError(f"{what} is {text!r}, expected a finite number")
    return value


def as_name(text: str) -> str:
    """The name in a cell, without a byte-order mark; a number that a program wrote as 12.0 is the id 12."""
    text = text.strip("\ufeff")
    return text.partition(".")[0] if _ID_AS_FLOAT.fullmatch(text) else text


def read_table(path: Path, video_column: str | None = None) -> Table:
    """The table in a delimited text, the first sheet of an .xlsx, JSON (`read_entries`) or a MATLAB file.

    Text is separated by tabs, semicolons, commas or spaces, in UTF-8 or UTF-16; bytes that are not UTF-8
    are kept as Python keeps them in file names. Of a MATLAB file, the variables as long as the one that names
    the videos (`video_column`, or the first with text) are the columns.
    Raises LabelsMissingError and LabelLayoutError, which says what was found.
    """
    if not path.is_file():
        raise LabelsMissingError(f"{path} does not exist, or is no file")
    kind, read = _READERS.get(path.suffix.lower(), ("a table in text", _text))
    with refusing(LabelLayoutError, f"{path} cannot be read as {kind}"):
        table = read(path, video_column)
    if not table.rows and not table.header:
        raise LabelLayoutError(f"{path} is empty, expected a table with a row for each video")
    return table


def read_matlab(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file before version 7.3. Raises ValueError.

    On some damaged files scipy ends the process: it reads them in one of its own.
    """
    command = [sys.executable, "-P", "-c", _READ_MATLAB, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        try:
            content: dict[str, Any] | str = pickle.load(cast(IO[bytes], reader.stdout))
        except (EOFError, pickle.UnpicklingError):
            content = "what reads it crashes"
    if isinstance(content, str):
        raise ValueError(content)
    return content


def _table(path: Path, numbered: Iterable[tuple[str, Sequence[str]]]) -> Table:
    """Rows with their places; the first is a header unless it has numbers, and empty ones are left out."""
    rows = [(place, cells) for place, row in numbered if any(cells := [cell.strip() for cell in row])]
    if not rows:
        return Table(path, [], [], [])
    first = rows[0][1]
    width = len(first)
    while width > 1 and not any(any(cells[width - 1 :]) for _, cells in rows):
        width -= 1  # Every row ends in separators.
    for place, cells in rows:
        while len(cells) > width and not cells[-1]:
            cells.pop()
        if len(cells) != width:
            raise LabelLayoutError(
                f"{path}, {place}: {len(cells)} columns, expected {width} as in the first line"
            )
    header = [] if width > 1 and all(is_number(cell) for cell in first[1:]) else first
    rows = rows[1:] if header else rows
    return Table(path, header, [cells for _, cells in rows], [place for place, _ in rows])


def _text(path: Path, _: str | None) -> Table:
    raw = path.read_bytes()
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = raw.decode("utf-16") if utf16 else raw.decode("utf-8-sig", errors="surrogateescape")
    if "\0" in text:
        raise LabelLayoutError(f"{path} is no text in UTF-8 or UTF-16, nor a .mat, .xlsx or .json file")
    if declared := _DECLARED.match(text):
        text = "\n" * declared.group().count("\n") + text[declared.end() :]
    rows = _split(text, declared[1] if declared else _delimiter(re.sub(r"^\s*[\r\n]", "", text)), strict=True)
    return _table(path, ((f"line {rows.line_num}", row) for row in rows))


def _split(text: str, delimiter: str, strict: bool = False) -> Any:
    lines = io.StringIO(text, newline="")
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)


def _delimiter(text: str) -> str:
    spaced = _SPACED.fullmatch(text.partition("\n")[0].strip())
    if spaced and Path(spaced[1]).suffix.lower() in EXTENSIONS:
        return " "
    counts = {delimiter: len(next(_split(text, delimiter), [])) for delimiter in _DELIMITERS[:-1]}
    best = max(counts, key=lambda delimiter: counts[delimiter])
    return best if counts[best] > 1 else _DELIMITERS[-1]


def _workbook(path: Path, _: str | None) -> Table:
    from openpyxl import load_workbook

    with closing(load_workbook(path, read_only=True, data_only=True)) as workbook:
        sheet = workbook.worksheets[0]
        # Programs write dimensions that are too small, and openpyxl would leave the other cells out.
        sheet.reset_dimensions()
        rows = [[_cell(value) for value in row] for row in sheet.iter_rows(values_only=True)]
    used = max((i + 1 for row in rows for i, cell in enumerate(row) if cell), default=0)
    return _table(path, [(f"row {i}", (row + [""] * used)[:used]) for i, row in enumerate(rows, start=1)])


def _json(path: Path, _: str | None) -> Table:
    entries = read_entries(path)
    header = list(dict.fromkeys(key for entry in entries for key in entry))
    return _entries(path, header, ([entry.get(key) for key in header] for entry in entries))


def _matlab(path: Path, video_column: str | None) -> Table:
    variables = {key: value.ravel() for key, value in read_matlab(path).items() if hasattr(value, "ravel")}
    texts = [key for key, value in variables.items() if value.dtype.kind in "OU"]
    names = video_column if video_column in variables else next(iter(texts), None)
    if names is None:
        raise LabelLayoutError(
            f"{path} has no variable with names of videos; it has: {some(list(variables), 40)}"
        )
    columns = {key: value for key, value in variables.items() if len(value) == len(variables[names])}
    return _entries(path, list(columns), zip(*columns.values(), strict=True))


def _entries(path: Path, header: list[str], values: Iterable[Iterable[Any]]) -> Table:
    rows = [[_cell(value) for value in row] for row in values]
    return Table(path, header, rows, [f"entry {i}" for i in range(1, len(rows) + 1)])


def _cell(value: Any) -> str:
    """A value as text; a number that is whole stays an id (`8440795977`)."""
    while isinstance(value, np.ndarray):  # MATLAB's cells are arrays, however deep.
        value = value.ravel()[0] if value.size else None
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value).strip()


_READERS = {
    ".xlsx": ("an Excel workbook (.xlsx)", _workbook),
    ".xlsm": ("an Excel workbook (.xlsx)", _workbook),
    ".json": ("JSON", _json),
    ".jsonl": ("JSON, one object a line", _json),
    ".mat": ("a MATLAB file (one of version 7.3 must be saved again with `save -v7`)", _matlab),
}
