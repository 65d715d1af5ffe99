"""The demo as a newcomer runs it, made small: the same commands, the same files."""

import json
import os
from pathlib import Path

import pytest

from demo.tour import take_tour


def test_the_demo_runs_by_the_users_commands_and_reuses_all_but_a_run_of_another_decoder(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    text = (root / "pipelines.toml").read_text()
    config = tmp_path / "pipelines.toml"
    config.write_text(text.replace("epochs = 40", "epochs = 2"))
    monkeypatch.setenv("PYTHONPATH", str(root))
    small = {"contents": 3, "decoder_steps": 20}
    take_tour(tmp_path / "demo", config, **small)
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert {
        "srcc_expected",
        "srcc_generate",
        "plcc_expected",
        "parse_failures",
        "level_accuracy",
    } <= summary.keys()
    assert summary["n_test"] == 7 and summary["seconds"] > 0
    capfd.readouterr()
    os.utime(tmp_path / "weights" / "embedded-decoder" / "decoder.json")  # as if it were a new one
    take_tour(tmp_path / "demo", config, **small)
    said = capfd.readouterr().out
    assert "reused: " in said and "the features of 21 videos are reused" in said
    assert "already trained" not in said
