"""Comparison tables: the same figures in every format, ours first, published ones marked."""

import csv
import io

import pytest

from evaluate.metrics.scores import score_metrics
from evaluate.report.formats import Format
from evaluate.report.published import published
from evaluate.report.tables import ResultRow, Table, comparison

OURS = ResultRow(
    "tiny, expected", "KoNViD-1k", "all", "ood", 0.70049, None, 1200, "random weights | 50 % of data"
)
TABLE = comparison([OURS], published("KoNViD-1k", "ood"))


def test_ours_come_first_and_published_rows_are_marked_with_their_source() -> None:
    assert TABLE.texts()[0] == [
        "tiny, expected",
        "KoNViD-1k, all",
        "ood",
        "0.700",
        "–",
        "1200",
        "random weights | 50 % of data",
    ]
    others = TABLE.texts()[1:]
    assert all(row[0].endswith(" (published)") and row[-1].startswith("arXiv") for row in others)
    assert sum(row[-1] == "arXiv 2408.14008, Table IV" for row in others) == 11


def test_published_figures_keep_their_decimals_and_say_which_release_was_tested() -> None:
    rows = comparison(
        [], [*published("KoNViD-1k", "random-splits"), *published("YouTube-UGC", "ood")]
    ).texts()
    assert rows[0][3:5] == ["0.7832", "0.7803"]
    tested = {(row[0], row[1]) for row in rows}
    assert ("VQAThinker (published)", "YouTube-UGC (1,020), all") in tested
    assert ("VSFA (published)", "YouTube-UGC (release unknown), all") in tested


def test_csv_is_read_back_cell_by_cell() -> None:
    rows = list(csv.reader(io.StringIO(TABLE.render("csv"))))
    assert rows == [list(TABLE.headers), *TABLE.texts()]


def test_markdown_has_one_line_a_row_and_no_stray_column() -> None:
    lines = TABLE.render("markdown").splitlines()
    assert len(lines) == 2 + len(TABLE.rows)
    assert all(line.replace(r"\|", "").count("|") == len(TABLE.headers) + 1 for line in lines)
    assert lines[1].count("-:|") == 3  # SRCC, PLCC and Videos to the right


def test_latex_escapes_what_latex_would_swallow() -> None:
    latex = TABLE.render("latex")
    assert latex.startswith(r"\begin{tabular}{lllrrrl}") and latex.rstrip().endswith(r"\end{tabular}")
    assert r"50 \% of data" in latex
    assert latex.count(r"\\") == 1 + len(TABLE.rows)


def test_no_figure_stands_out() -> None:
    assert "**" not in TABLE.render("markdown") and "textbf" not in TABLE.render("latex")


@pytest.mark.parametrize("format", ["plain", "markdown", "csv", "latex"])
def test_numbers_keep_three_decimals_in_every_format(format: Format) -> None:
    table = Table(
        ("Method", "SRCC"), (("a", 0.9), ("b", -0.25), ("c", None), ("d\ne", 1.0)), frozenset({"SRCC"})
    )
    shown = table.render(format)
    assert all(text in shown for text in ("0.900", "-0.250", "–", "d e", "1.000"))
    assert shown.endswith("\n")


@pytest.mark.parametrize("format", ["plain", "markdown", "csv", "latex"])
def test_a_table_without_rows_still_has_its_header(format: Format) -> None:
    assert "Protocol" in comparison([], []).render(format)


def test_undefined_metrics_bring_their_reason_into_the_note() -> None:
    metrics = score_metrics([1, 2, 3], [5, 5, 5])
    row = ResultRow.of("tiny", "demo", "test", "in-sample", metrics, "generated videos")
    assert (row.srcc, row.n, row.note) == (None, 3, "generated videos; all scores are equal")


def test_ragged_rows_and_unknown_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="1 cells, the table 2 columns"):
        Table(("a", "b"), (("only",),))
    with pytest.raises(ValueError, match="plain, markdown, csv, latex"):
        TABLE.render("html")  # type: ignore[arg-type]
