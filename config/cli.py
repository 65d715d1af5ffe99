"""What every command of the project does alike: print problems plainly, exit with a status, speak JSON."""

import gc
import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from config.errors import Problem
from config.interruption import Interrupted

Config = Annotated[Path, typer.Option(help="The settings file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting: a.b=value. Repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Where(StrEnum):
    """What carries the work out."""

    LOCAL = "local"
    RAY = "ray"


Executor = Annotated[Where, typer.Option(help="This machine, or those of a Ray cluster.")]
RayAddress = Annotated[
    str | None, typer.Option(help="The Ray cluster, HOST:6379. Default: RAY_ADDRESS, or this one.")
]


def command_app(help: str) -> typer.Typer:
    """A typer application with the project's habits: plain tracebacks, no shell-completion options."""
    return typer.Typer(help=help, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def run(app: typer.Typer) -> None:
    """Run a command; a `Problem` becomes one plain message on standard error and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may hold any bytes
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        raise SystemExit(stop.status) from None
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


@contextmanager
def large_imports() -> Iterator[None]:
    """Imports without garbage collection, which takes a tenth of the time of torch's and transformers'."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def print_json(value: Any) -> None:
    """Print one JSON document on standard output; NaN and infinity become null, as JSON has neither."""
    print(json.dumps(_finite(value), indent=2, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0.0:
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
