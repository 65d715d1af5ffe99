"""Eight dimensions of every second: each from its own tokens, shown as a table and a plot."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_videos import encode
from typer.testing import CliRunner

from config.load import EMBEDDED_MODEL
from evaluate.__main__ import app
from evaluate.errors import EvaluationError
from evaluate.probe.probing import dimensions, probe
from evaluate.scoring.model import load_trained
from evaluate.watching.stretch import Stretch
from evaluate.watching.watcher import Watcher
from train.answers.conversation import SLOT, Message

NAMES = ["sharpness", "light", "compression", "flicker", "fluency", "colour", "motion blur", "noise"]


def test_a_second_is_scored_by_its_own_tokens(tmp_path: Path) -> None:
    trained = load_trained(EMBEDDED_MODEL, "cpu")
    watcher = Watcher(trained)
    watched = watcher.watch(encode(tmp_path / "clip.mp4", frames=75))
    found = probe(trained, watcher, watched)
    assert len(found.seconds) == 2 and all(list(second) == NAMES for second in found.seconds)
    assert found.seconds[0] != found.seconds[1]
    system = Message("system", next(iter(trained.settings.tasks.values())).system.strip())
    expected = 0.0
    for question in dimensions().questions:
        asked = Message("user", f"{SLOT} {question.format(aspect=dimensions().aspects['noise'])}")
        talk = trained.talk([watcher.medium(watched, Stretch(1, 2))])
        p = torch.tensor(
            talk.likelihoods([system, asked], ["bad", "poor", "fair", "good", "excellent"])
        ).softmax(0)
        expected += float(p @ torch.tensor([0.0, 25, 50, 75, 100])) / len(dimensions().questions)
    assert found.seconds[1]["noise"] == pytest.approx(expected, abs=1e-2)


@pytest.mark.slow
def test_the_command_prints_a_table_and_draws_a_plot(tmp_path: Path) -> None:
    clips = [encode(tmp_path / f"{n}.mp4", frames=30 + 30 * n) for n in range(2)]
    command = ["probe", *map(str, clips), "--plot", str(tmp_path / "new" / "probe.svg")]
    found: dict[str, Any] = json.loads(
        CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False).stdout
    )
    assert [len(each["seconds"]) for each in found["videos"]] == [1, 2]
    assert all(0 <= score <= 100 for score in found["videos"][1]["seconds"][1].values())
    drawn = (tmp_path / "new" / "probe.svg").read_text()
    assert "<svg" in drawn and drawn.count("<image") >= 2
    shown = CliRunner().invoke(app, command, catch_exceptions=False).stdout
    assert "1–2 s" in shown and "motion blur" in shown and "mean" in shown
    refused = CliRunner().invoke(app, ["probe", str(clips[0]), "--plot", "probe.bmp"])
    assert isinstance(refused.exception, EvaluationError) and "ends in .svg" in str(refused.exception)


@pytest.mark.slow
def test_a_video_that_cannot_be_probed_takes_no_other_along(tmp_path: Path) -> None:
    clip, fake = encode(tmp_path / "clip.mp4", frames=30), tmp_path / "fake.mp4"
    fake.write_bytes(b"no video")
    plot = tmp_path / "probe.svg"
    command = ["probe", str(fake), str(clip), "--plot", str(plot)]
    result = CliRunner().invoke(app, [*command, "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 1 and [each["video"] for each in found["videos"]] == [str(clip)]
    assert list(found["errors"]) == [str(fake)] and str(fake) in found["errors"][str(fake)]
    assert found["plot"] == str(plot) and plot.is_file() and str(fake) in result.stderr
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 1 and "0–1 s" in shown.stdout
    none = CliRunner().invoke(app, ["probe", str(fake), "--plot", str(tmp_path / "none.svg"), "--json"])
    assert none.exit_code == 1 and json.loads(none.stdout)["plot"] is None
    assert not (tmp_path / "none.svg").exists()
