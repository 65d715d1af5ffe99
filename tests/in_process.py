"""Commands run within the tests' own process: without its start, which takes longer than what most do."""

import runpy
import sys

import pytest


def run_module(monkeypatch: pytest.MonkeyPatch, package: str, *arguments: str) -> int:
    """`python -m package arguments`, and its exit status."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", [package, *arguments])
        try:
            runpy.run_module(package, {}, "__main__")
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0
