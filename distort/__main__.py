"""`python -m distort`: distorted copies of pristine videos, with labels and conversations."""

import os
from pathlib import Path
from typing import Annotated

import typer

from config import cli
from config.errors import count
from config.interruption import stops_on_sigterm
from distort.chain import MAX_LINES
from distort.kinds import KINDS, STRENGTHS, kind_of, with_strengths

app = cli.command_app("Distorted copies of pristine videos, in graded steps, with labels and conversations.")


@app.command()
def distort(
    sources: Annotated[list[Path], typer.Argument(help="Folders of pristine videos, or videos.")],
    into: Annotated[Path, typer.Option(help="Where the copies and labels go.")] = Path("data/distorted"),
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kind", metavar="KIND", help="Only this kind. Repeatable; distort/kinds.toml has all."
        ),
    ] = None,
    kinds_each: Annotated[
        int | None, typer.Option(min=1, help="Of each source only so many kinds, drawn.")
    ] = None,
    strengths: Annotated[
        list[int] | None, typer.Option("--strength", min=1, max=5, help="Only this strength. Repeatable.")
    ] = None,
    strengths_each: Annotated[
        int | None, typer.Option(min=1, help="Of each source and kind only so many strengths, drawn.")
    ] = None,
    numbers: Annotated[
        Path | None,
        typer.Option(
            "--strength-table",
            metavar="FILE",
            help="What the strengths mean: TOML, five numbers for a kind, as `noise = [2, 4, 8, 16, 32]`.",
        ),
    ] = None,
    mixed: Annotated[int, typer.Option(min=0, help="Copies of two kinds, of each source.")] = 8,
    stretches: Annotated[
        int, typer.Option(min=0, help="Copies of which a stretch of time is distorted, of each source.")
    ] = 8,
    seconds: Annotated[float, typer.Option(help="So much of each source's beginning.")] = 8.0,
    max_lines: Annotated[
        int, typer.Option(min=64, help="Scale frames down whose shorter side has more.")
    ] = MAX_LINES,
    validation_share: Annotated[float, typer.Option(min=0, max=1, help="Sources of the split val.")] = 0.1,
    test_share: Annotated[float, typer.Option(min=0, max=1, help="Sources of the split test.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. Default: one for each core.")] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Replace copies that were made with other settings.")
    ] = False,
    json: cli.Json = False,
) -> None:
    """Make the copies that are missing; the same command again continues one that was stopped."""
    from distort.batch import make_copies
    from distort.plan import Recipe

    table = KINDS if numbers is None else with_strengths(numbers)
    chosen = [kind_of(kind, table) for kind in kinds or table]
    recipe = Recipe(
        seed=seed,
        seconds=seconds,
        max_lines=max_lines,
        kinds=tuple(kind for kind in table.values() if kind in chosen),
        strengths=tuple(sorted(set(strengths or STRENGTHS))),
        kinds_each=kinds_each,
        strengths_each=strengths_each,
        mixed=mixed,
        stretches=stretches,
        validation_share=validation_share,
        test_share=test_share,
    )
    with stops_on_sigterm():
        summary = make_copies(
            sources, into, recipe, workers=workers or os.cpu_count() or 1, restart=restart, quiet=json
        )
    if json:
        cli.print_json(vars(summary))
        return
    print(f"{summary.labels}: {count(summary.copies, 'video')}, {summary.made:,} of them new")
    for file, records in summary.conversations.items():
        print(f"  {file}: {count(records, 'record')}")
    for problem in summary.problems.values():
        print(f"  left out: {problem}")


if __name__ == "__main__":
    cli.run(app)
