"""`lmm-vqa`, as it is installed: every command, from any folder."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("lmm-vqa")


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    done = subprocess.run(
        [str(COMMAND), *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == status, done.stderr
    return done.stdout


pytestmark = pytest.mark.skipif(not COMMAND.exists(), reason="lmm-vqa is not installed here: make setup")


def test_it_runs_from_any_folder(tmp_path: Path) -> None:
    assert run(tmp_path, "--version") == f"lmm-vqa {version('lmm-vqa')}\n"
    assert "science-tokens: " in run(tmp_path, "ablate")  # the repository's settings
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_every_package_has_its_commands_under_it(tmp_path: Path) -> None:
    assert "Usage: lmm-vqa predict" in run(tmp_path, "predict", "--help")
    assert "Usage: lmm-vqa store" in run(tmp_path, "store", "--help")
    assert "lmm-vqa extract --help: stage 1" in run(tmp_path, "--help")
