import argparse
import json
import sys
from pathlib import Path

import pytest

from benchmarks import device_equality
from benchmarks.decoder_gpu import IN_4_BITS, main
from benchmarks.training_step import compare


def test_the_gpu_benchmark_runs_at_no_size_on_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = ["segments", "segments, layers recomputed", "dense", "plain", IN_4_BITS]
    arguments = ["--device", "cpu", "--tiny", "--tokens", "64", "--most-videos", "1", "--ways", *ways]
    monkeypatch.setattr(sys, "argv", ["decoder_gpu.py", *arguments, "--json", str(tmp_path / "figures.json")])
    main()
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [found["way"] for found in figures["steps"]] == ways
    assert all(found["videos_per_second"] > 0 and found["rate_share"] > 0 for found in figures["steps"])
    assert figures["prediction"][0]["seconds_per_video"] > 0
    assert "plain" in capsys.readouterr().out


def test_the_benchmark_of_the_step_checks_that_both_ways_compute_the_same() -> None:
    options = argparse.Namespace(
        layers=2, hidden=128, tokens=64, videos=2, rounds=1, vocabulary=512, compile=False
    )
    figures = compare(options)
    assert figures["loss"] > 0 and figures["speedup"] > 0 and figures["cpu_speedup"] > 0


def test_a_device_is_compared_with_the_cpu_way_by_way() -> None:
    found = device_equality.compare("cpu", ["dense, recompute layers", "packed in bfloat16", "prediction"])
    assert len(found) == 3 and all(each["equal"] for each in found)
    assert 0 < found[1]["difference"] < device_equality.BFLOAT16
