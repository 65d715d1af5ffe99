"""A benchmark's answers are kept as they are given, for the model, the question and the videos."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asked_questions import decoded_files, dev_file, questions, stand_ins
from typer.testing import CliRunner

from config.load import EMBEDDED_MODEL
from evaluate.__main__ import app
from evaluate.scoring.keeping import KeptAnswers
from evaluate.scoring.model import load_trained
from train.inference.talk import Talk
from train.saving.digests import SUMS


def test_a_stop_loses_no_answer(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = json.loads(dev_file(shared_data).read_text())[:8]
    (tmp_path / "some.json").write_text(json.dumps(records))
    videos = stand_ins(tmp_path, {record["video"] for record in records})
    asked = (tmp_path / "some.json", "--videos", videos, "--open-tokens", "4", "--out")
    whole = questions(*asked, tmp_path / "whole")
    decoded, written = decoded_files(monkeypatch), list[str]()
    original, left = Talk.reply, [3]

    def reply(self: Talk, *messages: Any, **options: Any) -> str:
        if len(written) == left[0]:
            raise KeyboardInterrupt
        written.append(original(self, *messages, **options))
        return written[-1]

    monkeypatch.setattr(Talk, "reply", reply)
    command = ["questions", *map(str, asked), str(tmp_path / "stopped")]
    assert CliRunner().invoke(app, command).exit_code != 0
    kept = tmp_path / "stopped" / "kept.jsonl"
    assert len(kept.read_text().splitlines()) == 3 and not (kept.parent / "metrics.json").exists()
    kept.write_text(kept.read_text() + '{"key": "0123456789ab", "writt')  # as kill -9 may leave it
    written.clear()
    left[0] = 100
    found = questions(*asked, tmp_path / "stopped")
    assert len(written) == 8 - 3
    answers = [
        [json.loads(line) for line in (tmp_path / name / "answers.jsonl").read_text().splitlines()]
        for name in ("whole", "stopped")
    ]
    for one, other in zip(*answers, strict=True):
        likelihoods = [each.pop("likelihoods") or {} for each in (one, other)]
        assert one == other and likelihoods[0] == pytest.approx(likelihoods[1], abs=1e-4)
    assert found["accuracy"] == whole["accuracy"] and found["counts"] == whole["counts"]

    written.clear()
    decoded.clear()
    assert questions(*asked, tmp_path / "stopped") == found and not written and not decoded
    records[3]["question"] += " Say why."
    (tmp_path / "some.json").write_text(json.dumps(records))
    questions(*asked, tmp_path / "stopped")
    assert len(written) == 1


def test_answers_are_kept_for_the_model_that_gave_them(tmp_path: Path) -> None:
    trained = load_trained(EMBEDDED_MODEL, "cpu")
    key = KeptAnswers(None, trained).key({"videos": ["a"]})
    assert key == KeptAnswers(None, load_trained(EMBEDDED_MODEL, "cpu")).key({"videos": ["a"]})
    assert key != KeptAnswers(None, trained).key({"videos": ["b"]})
    trained_otherwise = replace(trained, run=trained.run.model_copy(update={"decoder": {"weights": "1"}}))
    assert key != KeptAnswers(None, trained_otherwise).key({"videos": ["a"]})
    (tmp_path / SUMS).write_text(f"{'0' * 64}  model.safetensors\n")
    other_weights = replace(trained, checkpoint=tmp_path)
    assert key != KeptAnswers(None, other_weights).key({"videos": ["a"]})
