"""The simulation of millions of videos runs, small."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_simulation_gives_every_figure_of_every_size(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/scale.py", "--sizes", "500", "2000", "--part-videos", "10"]
    done = subprocess.run(
        [*command, "--folder", tmp_path], cwd=root, check=True, capture_output=True, text=True, timeout=600
    )
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[::6]] == ["500", "2,000"]
    assert len(lines) == 12 and "memory, bytes a video" in lines[2]
    assert not any(tmp_path.iterdir())
