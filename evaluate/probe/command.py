"""`python -m evaluate probe`: eight dimensions of quality, second by second."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from config import cli
from config.load import EMBEDDED_MODEL
from evaluate.options import Device, RunOption


def probe(
    videos: Annotated[
        list[str], typer.Argument(metavar="VIDEO…", help="Video files, folders, patterns, lists.")
    ],
    run: RunOption = EMBEDDED_MODEL,
    plot: Annotated[Path, typer.Option(help="Where the plot goes: .svg, .png or .pdf.")] = Path(
        "runs/probe.svg"
    ),
    device: Device = "auto",
    json: cli.Json = False,
) -> None:
    """Ask a run about eight dimensions of every second: a table and a plot.

    Sharpness, light, compression, flicker, fluency, colour, motion blur and noise, each from 0 to 100 (best).
    They mean something of runs alone that have learnt to answer such questions. Exits with status 1 where a
    video could not be probed; the others are.
    """
    from tqdm import tqdm

    from config.errors import Problem
    from evaluate.probe import probing, showing
    from evaluate.scoring.model import load_trained, unpractised
    from evaluate.watching.places import expand_files
    from evaluate.watching.watcher import Watcher

    showing.check_plot(plot)
    files = expand_files(videos, sys.stdin)
    trained = load_trained(run, device)
    for warning in (warnings := unpractised(trained)):
        print(warning, file=sys.stderr)
    trained.talk()  # a model that writes no text is refused before any video is watched
    watcher = Watcher(trained)
    found, errors = [], {}
    for video in tqdm(files, desc="probe", unit="video", disable=json):
        try:
            found.append(probing.probe(trained, watcher, watcher.watch(video)))
        except Problem as error:
            errors[str(video)] = str(error)
            print(error, file=sys.stderr)
    if found:
        showing.plot(found, plot)
    if json:
        cli.print_json(
            {
                "videos": [{"video": str(each.video), "seconds": each.seconds} for each in found],
                "plot": str(plot) if found else None,
                "errors": errors,
                "warnings": warnings,
            }
        )
    elif found:
        print("\n\n".join(map(showing.table, found)))
        print(f"\n{plot}")
    if errors:
        raise typer.Exit(1)
