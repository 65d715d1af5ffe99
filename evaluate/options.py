"""Options that several commands of `python -m evaluate` have."""

from pathlib import Path
from typing import Annotated

import typer

Device = Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda, cuda:1 …")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained run.")]
RunOption = Annotated[
    Path,
    typer.Option(
        "--run",
        metavar="RUN",
        show_default=False,
        help="Folder of a trained run; the embedded model where not given.",
    ),
]
