"""`python -m evaluate metrics` and `compare`: predictions of any model against opinion scores."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from config import cli
from evaluate.report.formats import Format

Labels = Annotated[
    Path | None,
    typer.Option(help="A label file of any known layout; where not given, MOS stand beside the predictions."),
]
PredictedVideoColumn = Annotated[str | None, typer.Option(help="The predictions' column of videos.")]
VideoColumn = Annotated[str | None, typer.Option(help="The label file's column of videos.")]
MosColumn = Annotated[str | None, typer.Option(help="The column of MOS.")]
ByRow = Annotated[
    bool,
    typer.Option("--by-row", help="The label file names no videos: its rows are the predictions', in order."),
]
Group = Annotated[
    str | None,
    typer.Option(
        help="Column of the label file, or regular expression with a (group), that says which content a video"
        " is of: intervals resample contents."
    ),
]
Page = Annotated[
    Path | None,
    typer.Option(metavar="FILE.html", help="Also write a page with charts, complete in one file."),
]
Shown = Annotated[Format, typer.Option("--format", help="Of the tables.")]


def metrics(
    predictions: Annotated[Path, typer.Option(help="A table with the columns video and score.")],
    labels: Labels = None,
    score_column: Annotated[
        list[str] | None,
        typer.Option(
            help="The predictions' column of scores; repeatable; `all` judges every column of numbers.",
            show_default="score",
        ),
    ] = None,
    predicted_video_column: PredictedVideoColumn = None,
    video_column: VideoColumn = None,
    mos_column: MosColumn = None,
    by_row: ByRow = False,
    group: Group = None,
    report: Page = None,
    format: Shown = "plain",
    json: cli.Json = False,
) -> None:
    """Judge any model's predictions: SRCC, PLCC, KRCC, RMSE, R², with bootstrap 95 % intervals.

    A column that the label file has, too, is judged against the labels' one: dimensions of quality, each by
    its own opinion scores. Standard deviations beside the scores (column std) are judged by their coverage.
    """
    from evaluate.report.agreement import judgement_notes, judgement_table
    from evaluate.results.agreement import ALL, LabelSource, judge_columns

    asked = score_column or ["score"]
    source = LabelSource(labels, video_column, mos_column, by_row, group)
    found = judge_columns(predictions, source, asked, predicted_video_column)
    if report is not None:
        from evaluate.report.judged import judgement_page
        from evaluate.report.study import write_study

        write_study(report, judgement_page(found, predictions.name))
    if json:
        alone = len(asked) == 1 and ALL not in asked
        columns = {each.column: each.as_json() for each in found}
        cli.print_json(found[0].as_json() if alone else {"columns": columns})
        return
    written = [] if report is None else [f"report: {report}"]
    _show(judgement_table(found).render(format), notes=[*judgement_notes(found), *written], format=format)


def compare(
    predictions: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Tables of predictions, one for each model.")
    ],
    labels: Labels = None,
    score_column: Annotated[
        list[str] | None,
        typer.Option(
            help="The column of scores: one for all files, or one for each, in their order.",
            show_default="score, or the only column of numbers",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="The models' names, in the files' order.", show_default="the files' names"),
    ] = None,
    predicted_video_column: PredictedVideoColumn = None,
    video_column: VideoColumn = None,
    mos_column: MosColumn = None,
    by_row: ByRow = False,
    group: Group = None,
    report: Page = None,
    format: Shown = "plain",
    json: cli.Json = False,
) -> None:
    """Compare models on the videos that all have, best first, and test which differences are significant.

    Of every two: Williams' test of their SRCC, and a paired bootstrap interval of the difference.
    """
    from evaluate.report.agreement import comparison_notes, comparison_table, pairs_table
    from evaluate.results.agreement import LabelSource
    from evaluate.results.comparison import compare as compare_models

    if len(predictions) < 2:
        raise typer.BadParameter("expected two files of predictions at least", param_hint="FILE…")
    source = LabelSource(labels, video_column, mos_column, by_row, group)
    found = compare_models(predictions, source, score_column or (), name or (), predicted_video_column)
    if report is not None:
        from evaluate.report.compared import comparison_page
        from evaluate.report.study import write_study

        write_study(report, comparison_page(found, " · ".join(found.models)))
    if json:
        cli.print_json(found.as_json())
        return
    tables = [table(found).render(format) for table in (comparison_table, pairs_table)]
    written = [] if report is None else [f"report: {report}"]
    _show(*tables, notes=[*comparison_notes(found), *written], format=format)


def _show(*tables: str, notes: list[str], format: Format) -> None:
    """Tables on standard output; notes below them, or on standard error where tables go into files."""
    print("\n".join(tables).rstrip())
    stream = None if format == "plain" else sys.stderr
    print("", *notes, sep="\n", file=stream)
