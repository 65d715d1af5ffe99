"""`python -m demo`: the whole pipeline on generated videos, and the embedded decoder by itself."""

from pathlib import Path
from typing import Annotated

import typer

from config import cli
from config.load import DEFAULT_FILE, load_settings

Steps = Annotated[int, typer.Option(min=1, help="Training steps of the language decoder.")]

app = cli.command_app("The embedded default: a generated dataset and a tiny decoder; downloads nothing.")


@app.command()
def run(
    folder: Annotated[Path, typer.Option(help="Where the dataset, run and summary go.")] = Path("runs/demo"),
    contents: Annotated[int, typer.Option(min=3, help="Scenes; there are 7 videos of each.")] = 64,
    decoder_steps: Steps = 1500,
    config: cli.Config = DEFAULT_FILE,
) -> None:
    """Generate videos, extract, train, evaluate and report, by the commands a user runs."""
    from demo.tour import take_tour

    take_tour(folder, config, contents=contents, decoder_steps=decoder_steps)


@app.command()
def decoder(
    steps: Steps = 1500,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    config: cli.Config = DEFAULT_FILE,
) -> None:
    """Train the embedded tiny language decoder on text, unless it is there already."""
    from demo.tour import prepare_decoder

    prepare_decoder(load_settings(config), steps=steps, quiet=quiet)


if __name__ == "__main__":
    cli.run(app)
