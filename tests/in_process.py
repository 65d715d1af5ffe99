"""Commands run within the tests' own process or a fork of it: their start would take longer than they do."""

import logging
import multiprocessing
import os
import runpy
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import typer

from config import cli


def run_module(monkeypatch: pytest.MonkeyPatch, package: str, *arguments: str) -> int:
    """`python -m package arguments`, and its exit status."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", [package, *arguments])
        patch.delitem(sys.modules, f"{package}.__main__", raising=False)  # where a test imported its commands
        try:
            runpy.run_module(package, {}, "__main__")
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


def fork_command(out: Path, err: Path, app: typer.Typer, *arguments: str) -> BaseProcess:
    """The command in a fork of this process, begun; what it prints goes to the two files."""
    process = multiprocessing.get_context("fork").Process(target=_run, args=(out, err, app, arguments))
    process.start()
    return process


def _run(out: Path, err: Path, app: typer.Typer, arguments: tuple[str, ...]) -> None:
    for file, number in ((out, 1), (err, 2)):
        with file.open("wb") as opened:
            os.dup2(opened.fileno(), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    logging.root.handlers.clear()  # those of the tests
    sys.argv = ["command", *arguments]
    cli.run(app)
