"""Our figures beside published ones, as plain text, Markdown, CSV and LaTeX."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from tabulate import tabulate

from evaluate.metrics.scores import Metrics
from evaluate.report.formats import Format
from evaluate.report.published import RELEASED, PublishedResult

Cell = str | int | float | None
NOTHING = "–"
_TABULATE = {"plain": "simple", "markdown": "pipe", "latex": "latex_booktabs"}


@dataclass(frozen=True)
class ResultRow:
    """One result of ours; `note` says what the reader must know of it (random weights, generated videos…)."""

    method: str
    dataset: str
    test: str
    protocol: str
    srcc: float | None
    plcc: float | None
    n: int | None = None
    """Videos tested."""
    note: str = ""

    @classmethod
    def of(
        cls, method: str, dataset: str, test: str, protocol: str, metrics: Metrics, note: str = ""
    ) -> "ResultRow":
        """From metrics; PLCC is the one after the logistic map, as the field reports it."""
        remarks = "; ".join(text for text in (note, metrics.note) if text)
        return cls(method, dataset, test, protocol, metrics.srcc, metrics.plcc, metrics.n, remarks)


@dataclass(frozen=True)
class Table:
    """Headed columns of cells: numbers are shown with 3 decimals, None as a dash."""

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[str] = frozenset()
    """Headers of the columns that are aligned to the right."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headers):
                raise ValueError(f"a row has {len(row)} cells, the table {len(self.headers)} columns: {row}")

    def texts(self) -> list[list[str]]:
        """Every cell as it is shown."""
        return [[_text(cell) for cell in row] for row in self.rows]

    def render(self, format: Format) -> str:
        """The whole table, ending in a line feed. Raises ValueError for a format that is not known."""
        if format not in get_args(Format):
            raise ValueError(f"{format!r} is no format of tables; there are {', '.join(get_args(Format))}")
        texts = self.texts()
        if format == "csv":
            return _csv([list(self.headers), *texts])
        if format == "markdown":
            texts = [[text.replace("|", r"\|") for text in row] for row in texts]
        alignment = ["right" if header in self.numeric else "left" for header in self.headers]
        shown = tabulate(
            texts,
            self.headers,
            tablefmt=_TABULATE[format],
            colalign=alignment if texts else None,
            disable_numparse=True,
        )
        return f"{shown}\n"


def comparison(ours: Sequence[ResultRow], published: Sequence[PublishedResult]) -> Table:
    """Ours first, then the published results in their order, marked as such and with their source.

    No figure stands out as the best: videos, splits and weights differ from row to row, as the notes say.
    """
    rows: list[tuple[Cell, ...]] = [
        (row.method, _where(row.dataset, row.test), row.protocol, row.srcc, row.plcc, row.n, row.note or None)
        for row in ours
    ]
    rows += [
        (
            f"{result.method} (published)",
            _where(with_release(result.dataset, result.release), result.test),
            result.protocol,
            printed(result.srcc),
            None if result.plcc is None else printed(result.plcc),
            None,
            result.source,
        )
        for result in published
    ]
    headers = ("Method", "Tested on", "Protocol", "SRCC", "PLCC", "Videos", "Note")
    return Table(headers, tuple(rows), frozenset({"SRCC", "PLCC", "Videos"}))


def printed(number: float, decimals: int = 3) -> str:
    """A published number with so many decimals, or all that it has, as it is not ours to round."""
    short = f"{number:.{decimals}f}"
    return short if float(short) == number else repr(number)


def with_release(dataset: str, release: int | None) -> str:
    """`YouTube-UGC (1,142)`, or `(release unknown)`; a dataset of one release as it is."""
    if dataset not in RELEASED:
        return dataset
    return f"{dataset} ({'release unknown' if release is None else f'{release:,}'})"


def _where(dataset: str, test: str) -> str:
    return f"{dataset}, {test}"


def _text(cell: Cell) -> str:
    if cell is None:
        return NOTHING
    # A line feed would break the row in every format but CSV
    return f"{cell:.3f}" if isinstance(cell, float) else " ".join(str(cell).split())


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
