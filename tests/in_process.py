"""Commands of packages and scripts, run within the tests' own process: without its start, which takes longer
than most of what they do."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def run_module(monkeypatch: pytest.MonkeyPatch, package: str, *arguments: str) -> int:
    """`python -m package arguments`, and its exit status."""
    return _run(monkeypatch, [package, *arguments], lambda: runpy.run_module(package, {}, "__main__"))


def run_script(monkeypatch: pytest.MonkeyPatch, script: Path, *arguments: str) -> int:
    """`python script arguments`, and its exit status."""
    return _run(monkeypatch, [str(script), *arguments], lambda: runpy.run_path(str(script), {}, "__main__"))


def _run(monkeypatch: pytest.MonkeyPatch, arguments: list[str], program: Callable[[], object]) -> int:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", arguments)
        try:
            program()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0
