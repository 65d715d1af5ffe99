"""The demo as a newcomer runs it, made small: the same commands, the same files."""

import json
import re
import shutil
from functools import partial
from pathlib import Path

import pytest
from in_process import run_module

from demo.steps import StepFailed, run_command
from demo.tour import take_tour


def test_the_demo_runs_by_the_users_commands_and_reuses_all_but_a_run_of_another_decoder(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "pipelines.toml"
    text = (root / "pipelines.toml").read_text()
    config.write_text(re.sub(r"(?s)(\[pipelines\.tiny\.training\]\nepochs = )\d+", r"\g<1>2", text))
    decoder = shutil.copytree(root / "models" / "embedded" / "decoder", tmp_path / "models/embedded/decoder")
    monkeypatch.setattr("demo.steps.status_of", partial(run_module, monkeypatch))
    take_tour(tmp_path / "demo", config, contents=3)
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert {
        "srcc_expected",
        "srcc_generate",
        "plcc_expected",
        "parse_failures",
        "level_accuracy",
    } <= summary.keys()
    assert summary["n_test"] == 7 and summary["seconds"] > 0
    weights = bytearray((decoder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (decoder / "model.safetensors").write_bytes(weights)
    capfd.readouterr()
    with pytest.raises(StepFailed):
        take_tour(tmp_path / "demo", config, contents=3)
    said = capfd.readouterr()
    assert "reused: " in said.out and "the features of 21 videos are reused" in said.out
    assert re.search(r"holds another run than is asked for.*decoder.*--restart", said.err, re.DOTALL)
    take_tour(tmp_path / "demo", config, contents=3, restart=True)
    assert "already trained" not in capfd.readouterr().out


def test_a_step_is_a_process_of_its_own_whose_failure_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_command("store", "--help")
    with pytest.raises(StepFailed, match="`python -m store` ended with status 1; its message is above"):
        run_command("store", "show", "demo/none", "--store", str(tmp_path))
    assert "error: " in capfd.readouterr().err
