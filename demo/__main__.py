"""`python -m demo`: the whole pipeline on generated videos, and the embedded decoder by itself."""

from pathlib import Path
from typing import Annotated

import typer

from config import cli
from config.load import DEFAULT_FILE, load_settings

app = cli.command_app("The embedded default: a generated dataset and a tiny decoder; downloads nothing.")


@app.command()
def run(
    folder: Annotated[Path, typer.Option(help="Where the dataset, run and summary go.")] = Path("runs/demo"),
    config: cli.Config = DEFAULT_FILE,
) -> None:
    """Generate videos, extract, train, evaluate and report, by the commands a user runs."""
    from demo.tour import take_tour

    take_tour(folder, config)


@app.command()
def decoder(
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    config: cli.Config = DEFAULT_FILE,
) -> None:
    """Train the embedded tiny language decoder on text, unless it is there already."""
    from demo.tour import prepare_decoder

    prepare_decoder(load_settings(config), quiet=quiet)


if __name__ == "__main__":
    cli.run(app)
