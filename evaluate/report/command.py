"""`python -m evaluate tables`: published tables as papers print them, and our runs' figures in them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evaluate.report.formats import Format

if TYPE_CHECKING:
    from evaluate.report.ours import OwnResult
    from evaluate.report.wide import WideTable

_SUFFIXES: dict[Format, str] = {"plain": "txt", "markdown": "md", "csv": "csv", "latex": "tex"}


def tables(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]…", show_default=False, help="All where none is named."),
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            "--run", metavar="RUN", show_default=False, help="A run whose evaluations join. Repeatable."
        ),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option(show_default=False, help="Plain where not given; with --out every one."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", show_default=False, help="Write NAME.txt, .md, .csv and .tex there instead."
        ),
    ] = None,
    list_names: Annotated[bool, typer.Option("--list", help="Say which tables there are.")] = False,
) -> None:
    """Print published tables as papers do: a row a method, the best and second marked.

    Marks compare only what is of the same training data, test set, release and protocol.
    """
    from evaluate.report.named import TABLES, named_table
    from evaluate.report.ours import own_results

    if list_names:
        print("\n".join(f"{name:<20} {named.title}" for name, named in TABLES.items()))
        return
    chosen = names or list(TABLES)
    ours = [result for run in runs or [] for result in own_results(run)]
    found = [named_table(name, ours) for name in chosen]
    if out is None:
        print("\n".join(table.render(format or "plain") for table in found), end="")
    else:
        _write(out, found, [format] if format else list(_SUFFIXES))
    for line in _left_out(ours, chosen):
        print(line, file=sys.stderr)


def _write(folder: Path, found: list["WideTable"], formats: list[Format]) -> None:
    from store.durable.commit import write_file
    from train.saving.folder import writing

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for table in found:
            for format in formats:
                file = folder / f"{table.name}.{_SUFFIXES[format]}"
                write_file(file, table.render(format).encode())
                print(file)


def _left_out(ours: list["OwnResult"], chosen: list[str]) -> list[str]:
    """What belongs to none of the chosen tables, a line for each evaluation."""
    from evaluate.report.named import belonging

    lines = []
    for result in ours:
        tables = belonging(result)
        if set(tables) & set(chosen):
            continue
        where = f"it belongs to {', '.join(tables)}" if tables else "no table has that test set"
        tested = f"{result.dataset}, {result.test}, {result.protocol}"
        lines.append(f"{result.place}: {tested}: in none of the tables shown; {where}")
    return list(dict.fromkeys(lines))
