import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import device_equality
from benchmarks.training_step import compare


def asked_of_a_gpu(root: Path, folder: Path, steps: str = "") -> dict[str, Any]:
    """Step of benchmarks/gpu.sh → what it found, at no size, on a CPU."""
    command = ["bash", "benchmarks/gpu.sh", str(folder), "--tiny"]
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "STEPS": steps}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    return {file.stem: json.loads(file.read_text()) for file in folder.iterdir()}


@pytest.mark.slow
def test_what_a_gpu_is_asked_runs_at_no_size_on_a_cpu(root: Path, tmp_path: Path) -> None:
    found = asked_of_a_gpu(root, tmp_path, "ask")
    assert found.keys() == {"ask"} and found["ask"]["same_texts"]


@pytest.mark.soak
def test_all_that_a_gpu_is_asked_runs_at_no_size_on_a_cpu(root: Path, tmp_path: Path) -> None:
    found = asked_of_a_gpu(root, tmp_path)
    assert found.keys() == {"equality", "packed", "released", "assistant", "plain", "4bit", "ask"}
    turns = found.pop("ask")
    assert turns["same_texts"] and len(turns["of_first"]) == 3
    equal = found.pop("equality")
    assert all(each["equal"] for each in equal)
    assert {"mmca", "4 bits", "stopped and continued", "prediction and texts"} <= {
        each["way"] for each in equal
    }
    for figures in found.values():
        assert figures["videos_per_second"] > 0 and figures["rate_share"] > 0
    assert found["plain"]["losses"] == pytest.approx(found["packed"]["losses"], rel=1e-2)
    assert found["packed"]["prediction_seconds"] > 0


def test_the_benchmark_of_the_step_checks_that_both_ways_compute_the_same() -> None:
    options = argparse.Namespace(
        turns=2, layers=2, hidden=128, tokens=64, videos=2, rounds=1, vocabulary=512, compile=False
    )
    figures = compare(options)
    assert figures["loss"] > 0 and figures["speedup"] > 0 and figures["cpu_speedup"] > 0


@pytest.mark.slow
def test_a_device_is_compared_with_the_cpu_way_by_way() -> None:
    ways = [
        "dense, recompute layers",
        "packed in bfloat16",
        "mmca",
        "prediction and texts",
        "decoder trained whole",
    ]
    found = device_equality.compare("cpu", ways)
    assert len(found) == len(ways) and all(each["equal"] for each in found)
    assert 0 < found[1]["difference"] < device_equality.BFLOAT16
