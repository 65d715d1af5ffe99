"""`python -m evaluate predict` and `ladder`: scores of video files."""

import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from config import cli
from config.load import EMBEDDED_MODEL
from evaluate.errors import TimeError
from evaluate.options import Device, RunOption

Videos = Annotated[
    list[str],
    typer.Argument(
        metavar="VIDEO…",
        help="Video files, folders, patterns, lists (.txt), tars, URLs; - takes them from standard input.",
    ),
]


def predict(
    videos: Videos,
    run: RunOption = EMBEDDED_MODEL,
    per_second: Annotated[bool, typer.Option("--per-second", help="The score of every second, too.")] = False,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", show_default=False, help="The scores of stretches so long, too: 4, 0:04."
        ),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", show_default=False, help="When a stretch begins; one after another if not given."
        ),
    ] = None,
    start: Annotated[str, typer.Option(metavar="TIME", help="Score from here on: 90, 1:30.")] = "0",
    end: Annotated[
        str | None, typer.Option(metavar="TIME", show_default=False, help="Score up to here.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that decode; 0 decodes one video after another in this one.")
    ] = 0,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Keep each score in this file as it comes; what it has is not done again.",
        ),
    ] = None,
    device: Device = "auto",
    json: cli.Json = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Print a line of JSON for each video, once ready.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Score video files on 0–100 (100 is best), with what is peculiar about them.

    The table's interval holds 80 % of the opinion scores. Every second's score comes from the same decoding.
    Exits with status 1 where a video could not be scored; the others are.
    """
    from evaluate.predicting.curve import Windows
    from evaluate.predicting.times import length_of, seconds_of

    if sum((json, jsonl, csv)) > 1:
        raise typer.BadParameter("--json, --jsonl and --csv: expected one of them at most")
    if per_second and (window is not None or every is not None):
        raise typer.BadParameter("--per-second is --window 1 --every 1: expected it, or these")
    try:
        length = None if window is None else length_of(window, "--window")
        step = None if every is None else length_of(every, "--every")
        begin, stop = seconds_of(start, "--start"), None if end is None else seconds_of(end, "--end")
    except TimeError as error:
        raise typer.BadParameter(str(error)) from None
    windows = None
    if per_second or length is not None or step is not None:
        windows = Windows(length or 1.0, step or length or 1.0)
    with cli.large_imports():
        from tqdm import tqdm

        from evaluate.predicting import formats
        from evaluate.predicting.scorer import Asked, Scorer
        from evaluate.watching.places import expand

    files = expand(videos, sys.stdin)
    scorer, found = Scorer(run, device), {}
    asked, seconds = Asked(begin, stop, windows), 0.0
    with (
        tqdm(total=len(files), desc="predict", unit="video", disable=True if quiet else None) as bar,
        closing(scorer.score_all(files, asked, workers=workers, keep=resume)) as scores,
    ):
        for number, one in scores:
            found[number] = one
            seconds += one.seconds or 0.0
            bar.update()
            bar.set_postfix_str(f"{seconds / max(bar.format_dict['elapsed'], 1e-3):.1f} × real time")
            if one.error is not None and (json or jsonl or csv):
                print(f"{one.video}: {one.error}", file=sys.stderr)
            if jsonl:
                print(formats.as_json_line(one), flush=True)
    ordered = [found[number] for number in range(len(files))]
    if json:
        print(formats.as_json(ordered))
    elif csv:
        print(formats.as_csv(ordered))
    elif not jsonl:
        print(formats.as_table(ordered))
    if any(one.error is not None for one in ordered):
        raise typer.Exit(1)


def ladder(
    videos: Videos,
    run: RunOption = EMBEDDED_MODEL,
    device: Device = "auto",
    json: cli.Json = False,
) -> None:
    """Degrade real videos step by step and see whether the scores fall: rank correlation by kind.

    Takes the first 5 seconds of each video, at 540 lines at most.
    """
    with cli.large_imports():
        from tqdm import tqdm

        from evaluate.predicting.ladder import climb, ladder_table, summary
        from evaluate.predicting.scorer import Scorer
        from evaluate.watching.places import expand_files
    from extract.errors import UnreadableVideo

    files = expand_files(videos, sys.stdin)
    scorer, ladders, errors = Scorer(run, device), [], {}
    for video in tqdm(files, desc="ladders", unit="video", disable=json):
        try:
            ladders += climb(scorer, video)
        except UnreadableVideo as error:
            errors[str(video)] = str(error)
            print(error, file=sys.stderr)
    if json:
        found = summary(ladders)
        cli.print_json({**found, "ladders": [asdict(ladder) for ladder in ladders], "errors": errors})
    elif ladders:
        print(ladder_table(ladders))
    if errors:
        raise typer.Exit(1)
