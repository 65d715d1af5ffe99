"""Tables in the papers' layout: what is marked, and that every format holds every figure."""

import csv
import io
import re
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluate.errors import EvaluationError
from evaluate.report.formats import Format
from evaluate.report.latex import escaped
from evaluate.report.named import TABLES, named_table
from evaluate.report.wide import Column, Row, Value, WideTable, ranks

CELLS = [
    None,
    Value("+3.9%", "LSVQ"),
    *(Value(number / 10, group) for number in range(-3, 4) for group in (None, "LSVQ", "KoNViD-1k")),
]
VALUES = st.lists(st.sampled_from(CELLS), max_size=12)
unhurried = settings(deadline=None)  # a deadline would measure how busy the machine is


@unhurried
@given(VALUES)
def test_the_best_of_comparable_numbers_is_their_maximum_and_equal_numbers_share_a_rank(
    values: list[Value | None],
) -> None:
    found = ranks(values)
    for group in ("LSVQ", "KoNViD-1k"):
        own = [
            (value.value, rank)
            for value, rank in zip(values, found, strict=True)
            if value is not None and value.comparable == group and isinstance(value.value, float)
        ]
        numbers = [number for number, _ in own]
        if len(own) < 2:
            assert all(rank is None for _, rank in own)
            continue
        assert {number for number, rank in own if rank == 1} == {max(numbers)}
        rest = [number for number in numbers if number < max(numbers)]
        assert {number for number, rank in own if rank == 2} == ({max(rest)} if rest else set())
        assert len(set(own)) == len(set(numbers))


def test_one_model_that_is_read_twice_is_compared_with_others_alone() -> None:
    ours = [Value(0.9, "x", model="run"), Value(0.8, "x", model="run")]
    assert ranks(ours) == [None, None]
    assert ranks([*ours, Value(0.85, "x")]) == [1, 3, 2]


@unhurried
@given(VALUES)
def test_what_is_comparable_with_nothing_has_no_rank(values: list[Value | None]) -> None:
    for value, rank in zip(values, ranks(values), strict=True):
        if value is None or value.comparable is None or isinstance(value.value, str):
            assert rank is None


@unhurried
@given(VALUES)
def test_numbers_of_another_group_change_no_rank(values: list[Value | None]) -> None:
    others = [value if value is None or value.comparable != "KoNViD-1k" else None for value in values]
    for value, alone, beside in zip(others, ranks(others), ranks(values), strict=True):
        if value is not None:
            assert alone == beside


TABLE = WideTable(
    "tried",
    "100 % of_it & more",
    ("Method",),
    (Column("LSVQ test", "SRCC"), Column("LSVQ test", "PLCC"), Column("", "RT/s")),
    (
        Row(("A|B_1",), {Column("LSVQ test", "SRCC"): Value(0.9, "x")}, "published: a & b"),
        Row(
            ("C",), {Column("LSVQ test", "SRCC"): Value(0.7832, "x"), Column("", "RT/s"): Value(1.98)}, "ours"
        ),
        Row(("D",), {Column("LSVQ test", "SRCC"): Value(0.9, "y")}, "published: c"),
    ),
)


def test_marks_in_every_format_and_none_where_nothing_compares() -> None:
    lines = {format: TABLE.render(format).splitlines() for format in get_args(Format)}
    shown = {format: next(line for line in each if "0.7832" in line) for format, each in lines.items()}
    assert "0.7832+" in shown["plain"] and "<u>0.7832</u>" in shown["markdown"]
    assert r"\underline{0.7832}" in shown["latex"]
    assert TABLE.render("plain").count("0.900*") == 1  # D learnt from something else
    assert TABLE.render("markdown").count("**0.900**") == 1
    assert TABLE.render("latex").count(r"\textbf{0.900}") == 1


def test_csv_holds_clean_numbers_with_their_ranks_apart() -> None:
    rows = list(csv.DictReader(io.StringIO(TABLE.render("csv"))))
    assert [row["LSVQ test SRCC"] for row in rows] == ["0.900", "0.7832", "0.900"]
    assert [row["LSVQ test SRCC rank"] for row in rows] == ["1", "2", ""]
    assert [row["RT/s"] for row in rows] == ["", "1.980", ""]


def test_latex_escapes_what_latex_would_swallow() -> None:
    latex = TABLE.render("latex")
    assert r"\caption{100 \% of\_it \& more}" in latex and r"A$|$B\_1" in latex and r"a \& b" in latex
    assert r"\multicolumn{2}{c}{LSVQ test}" in latex and r"\cmidrule(lr){2-3}" in latex


@unhurried
@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=40))
def test_escaped_text_has_no_sign_left_that_latex_reads(text: str) -> None:
    found = escaped(text)
    bare = re.sub(r"\\(textbackslash|textasciitilde|textasciicircum|ldots|rightarrow)(\{\})?", "", found)
    bare = re.sub(r"\\[&%$#_{}]", "", bare).replace("$<$", "").replace("$>$", "").replace("$|$", "")
    assert not re.search(r"[\\&%#_{}~]", bare.replace("$^2$", "").replace("$$", ""))


@pytest.mark.parametrize("name", TABLES)
def test_a_published_table_reads_back_from_csv(name: str) -> None:
    table = named_table(name)
    rows = list(csv.reader(io.StringIO(table.render("csv"))))
    first = len(table.texts)
    for row, read in zip(table.rows, rows[1:], strict=True):
        assert read[:first] == list(row.texts)
        cells = read[first : first + len(table.columns)]
        for column, cell in zip(table.columns, cells, strict=True):
            value = row.values.get(column)
            assert cell == ("" if value is None else str(value))
            if value is not None and not isinstance(value.value, str):
                assert float(cell) == value.value
        assert read[first + len(table.columns)] == row.source != ""
    assert len(set(rows[0])) == len(rows[0])


@pytest.mark.parametrize("name", TABLES)
def test_a_published_table_is_sound_latex(name: str) -> None:
    table = named_table(name)
    latex = table.render("latex")
    bare = re.sub(r"\\[{}&%_#$]", "", latex)
    assert bare.count("{") == bare.count("}")
    body = re.search(r"\\midrule\n(.*)\\bottomrule", bare, re.DOTALL)
    assert body is not None
    lines = body[1].splitlines()
    assert len(lines) == len(table.rows)
    width = len(table.texts) + len(table.columns) + 1
    assert all(line.endswith(r"\\") and line.count("&") == width - 1 for line in lines)
    assert not re.search(r"[%#_]", body[1])


@pytest.mark.parametrize("name", TABLES)
def test_a_published_table_has_one_line_a_row_in_markdown_and_plain(name: str) -> None:
    table = named_table(name)
    lines = [line for line in table.render("markdown").splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(table.rows)
    assert len({line.count("|") for line in lines}) == 1
    plain = table.render("plain").splitlines()
    assert all(any(line.startswith(row.texts[0]) for line in plain) for row in table.rows)


def test_columns_of_a_group_stand_beside_each_other() -> None:
    for name in TABLES:
        groups = [column.group for column in named_table(name).columns if column.group]
        runs = [group for place, group in enumerate(groups) if place == 0 or groups[place - 1] != group]
        assert len(runs) == len(set(runs))


def test_releases_of_youtube_ugc_have_columns_of_their_own() -> None:
    groups = {column.group for column in named_table("out-of-distribution").columns}
    assert {"YouTube-UGC (1,142)", "YouTube-UGC (release unknown)"} <= groups
    field = {column.group for column in named_table("field").columns}
    assert {"YouTube-UGC (1,142), OOD", "YouTube-UGC (1,020), OOD"} <= field


def test_the_best_published_results_are_marked() -> None:
    markdown = named_table("in-sample").render("markdown")
    assert "| **0.916** |" in re.sub(" +", " ", markdown)
    assert markdown.count("<u>") == 4
    # Shares of the training data are different training data
    assert "**0.913**" not in named_table("ablation-data").render("markdown")
    # What learnt from a mixture is not compared with what learnt from LSVQ
    w2s = next(row for row in named_table("field").render("markdown").splitlines() if "W2S-VQA" in row)
    assert "**" not in w2s and "<u>" not in w2s


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(EvaluationError, match=r"'fields'.*zero-shot.*field"):
        named_table("fields")
