"""Tables as papers print them: a row a method, columns by dataset, the best and second marked."""

import csv
import io
import textwrap
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from evaluate.report.formats import Format
from evaluate.report.latex import escaped, tabular
from evaluate.report.tables import NOTHING, Table, printed

LEGEND = "* best, + second among rows of the same training data, test set, release of it and protocol"


@dataclass(frozen=True)
class Column:
    """A column of figures."""

    group: str
    """What stands above it and its neighbours: a dataset."""
    name: str
    """Of the figure: SRCC, PLCC, Poor…"""


@dataclass(frozen=True)
class Value:
    """A cell of figures."""

    value: float | str
    """A number, or a text that is shown as it is."""
    comparable: Hashable = None
    """Numbers of a column that have this in common are ranked, the largest first; None: not ranked."""
    decimals: int = 3
    """The fewest that are shown."""
    model: Hashable = None
    """What figures of one model, read in several ways, have in common; None: of a model of its own."""

    def __str__(self) -> str:
        return self.value if isinstance(self.value, str) else printed(self.value, self.decimals)


@dataclass(frozen=True)
class Row:
    """A method's figures."""

    texts: tuple[str, ...]
    """One for each of the table's `texts`."""
    values: Mapping[Column, Value]
    source: str
    """Where the figures are printed, or what a reader must know of ours."""


def ranks(values: Sequence[Value | None]) -> list[int | None]:
    """Ranks from 1, the largest, among comparable numbers of a column; equal numbers share theirs.

    The next smaller number has the next rank. None where there is no other model to compare with.
    """
    groups: dict[Hashable, list[float]] = {}
    models: dict[Hashable, set[Hashable]] = {}
    for place, value in enumerate(values):
        if (number := _ranked(value)) is not None and value is not None:
            groups.setdefault(value.comparable, []).append(number)
            models.setdefault(value.comparable, set()).add(place if value.model is None else value.model)
    order = {
        group: sorted(set(numbers), reverse=True)
        for group, numbers in groups.items()
        if len(models[group]) > 1
    }
    return [
        None
        if value is None or (number := _ranked(value)) is None or value.comparable not in order
        else 1 + order[value.comparable].index(number)
        for value in values
    ]


def _narrow(column: Column) -> str:
    """The header on lines that are hardly wider than its figures."""
    wrapper = textwrap.TextWrapper(14, break_on_hyphens=False, break_long_words=False)
    return "\n".join([*wrapper.wrap(column.group), *wrapper.wrap(column.name)])


def _ranked(value: Value | None) -> float | None:
    if value is None or value.comparable is None or isinstance(value.value, str):
        return None
    return value.value


@dataclass(frozen=True)
class WideTable:
    """Methods by datasets."""

    name: str
    title: str
    texts: tuple[str, ...]
    """Headers of the columns of text on the left."""
    columns: tuple[Column, ...]
    """Those of one group stand beside each other."""
    rows: tuple[Row, ...]

    def ranks(self) -> dict[Column, list[int | None]]:
        """Column → the rank of each row's number (`ranks`)."""
        return {column: ranks([row.values.get(column) for row in self.rows]) for column in self.columns}

    def render(self, format: Format) -> str:
        """The whole table, ending in a line feed.

        CSV has no marks: after the figures come the ranks that they stand for. Raises ValueError for a format
        that is not known.
        """
        match format:
            case "csv":
                return self._csv()
            case "latex":
                return self._latex()
            case "plain" | "markdown":
                return self._text(format)
            case _:
                assert_never(format)

    def _text(self, format: Format) -> str:
        best, second = ("{}*", "{}+") if format == "plain" else ("**{}**", "<u>{}</u>")
        headers = self._headers() if format == "markdown" else [_narrow(column) for column in self.columns]
        table = Table((*self.texts, *headers, "Source"), tuple(self._shown(best, second)), frozenset(headers))
        title = self.title if format == "plain" else f"**{self.title}**"
        legend = f"\n{LEGEND}\n" if format == "plain" and self._marked() else ""
        return f"{title}\n\n{table.render(format)}{legend}"

    def _csv(self) -> str:
        every, headers = self.ranks(), self._headers()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*self.texts, *headers, "Source", *(f"{header} rank" for header in headers)])
        for place, row in enumerate(self.rows):
            figures = [str(row.values.get(column, "")) for column in self.columns]
            places = [every[column][place] or "" for column in self.columns]
            writer.writerow([*row.texts, *figures, row.source, *places])
        return text.getvalue()

    def _latex(self) -> str:
        rows = [
            [*map(escaped, row[: len(self.texts)]), *row[len(self.texts) : -1], escaped(row[-1])]
            for row in self._shown(r"\textbf{{{}}}", r"\underline{{{}}}", escaped)
        ]
        groups = [(column.group, column.name) for column in self.columns]
        return tabular(self.name, self.title, self.texts, groups, rows)

    def _shown(self, best: str, second: str, written: Callable[[str], str] = str) -> list[tuple[str, ...]]:
        every, patterns = self.ranks(), {1: best, 2: second}
        return [
            (
                *row.texts,
                *(
                    patterns.get(every[column][place] or 0, "{}").format(written(str(row.values[column])))
                    if column in row.values
                    else written(NOTHING)
                    for column in self.columns
                ),
                row.source,
            )
            for place, row in enumerate(self.rows)
        ]

    def _headers(self) -> list[str]:
        return [f"{column.group} {column.name}".strip() for column in self.columns]

    def _marked(self) -> bool:
        return any(rank is not None for each in self.ranks().values() for rank in each)
