"""What is recognised of distortions: the benchmark at no size, and its figures of answers that are known."""

import json
from pathlib import Path

import numpy as np
import pytest
from in_process import run_module
from typer.testing import CliRunner

from benchmarks.distortion_recognition import PIPELINES, app, report
from benchmarks.recognition import Row, Said, figures_of, svm_figures


@pytest.mark.slow
def test_the_command_makes_data_learns_and_prints_every_figure(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def within(_: str, package: str, *arguments: str) -> None:
        assert run_module(monkeypatch, package, *arguments) == 0

    monkeypatch.setattr("benchmarks.distortion_recognition._python", within)
    monkeypatch.chdir(root)
    least = ["--sources", "4", "--kinds-each", "1", "--stretches", "1", "--seconds", "2", "--lines", "64"]
    once = [part for name in PIPELINES for part in ("--set", f"pipelines.{name}.training.epochs=1")]
    said = CliRunner().invoke(app, [str(tmp_path), *least, *once], catch_exceptions=False).stdout
    found = json.loads((tmp_path / "recognition-0.json").read_text())
    assert list(found) == [*PIPELINES]
    assert said.splitlines()[-len(found["both"]["model"]) - 2 :] == report(found).splitlines()
    answers = json.loads((tmp_path / "runs" / "both-0" / "answers.json").read_text())
    test = (tmp_path / "distorted" / "conversations-test.jsonl").read_text().splitlines()
    assert [each["true"] for each in answers] == [
        json.loads(line)["conversations"][1]["value"] for line in test
    ]


def copies() -> dict[str, Row]:
    """Two kinds at five strengths and pristine copies, of two sources."""
    kinds = [("none", 0), *((kind, s) for kind in ("noise", "judder") for s in range(1, 6))]
    found = {}
    for source, split in (("a", "train"), ("b", "test")):
        for kind, strength in kinds:
            video = f"{source}/{kind}-{strength}.mp4"
            row = {"video": video, "source": source, "split": split, "kind": kind, "strength": str(strength)}
            found[video] = row
    stretch = {"video": "b/noise-4-from-1.0-to-2.5.mp4", "source": "b", "split": "test"}
    found[stretch["video"]] = {**stretch, "kind": "noise", "strength": "4"}
    return found


def test_figures_are_shares_and_rank_correlations_of_what_was_asked() -> None:
    noise = [f"b/noise-{strength}.mp4" for strength in range(1, 6)]
    part = ("b/noise-4-from-1.0-to-2.5.mp4",)
    words = ["barely visible", "slight", "moderate", "strong", "very strong"]
    answers = [
        *(Said("kind", (video,), "noise", "noise" if video != noise[0] else "none") for video in noise),
        Said("kind", part, "noise", "judder"),  # not the whole copy
        Said("kind", ("b/judder-5.mp4",), "judder", "jud der"),
        *(Said("strength", (video,), word, word) for video, word in zip(noise, words, strict=True)),
        Said("worse", (noise[0], noise[2]), "the second", "the second"),
        Said("worse", (noise[3], noise[2]), "the first", "the second"),
        Said("when", part, "from 1.0 to 2.5 seconds", "from 1. 9 to 2. 0 seconds"),
        Said("when", part, "from 1.0 to 2.5 seconds", "from 2. 1 to 2. 5 seconds"),
        Said("first-still", part, "from 1.0 to 2.5 seconds", "later"),
    ]
    found = figures_of(answers, copies())
    assert (found["kind, spatial"], found["kind, spatial, strength 2 to 5"]) == (0.8, 1.0)
    assert found["kind, temporal"] == found["kind, temporal, or one that looks alike"] == 1.0
    assert found["strength, spatial"] == pytest.approx(1.0)
    assert (found["worse, two steps apart, spatial"], found["worse, all, spatial"]) == (1.0, 0.5)
    assert (found["when, stretch"], found["when, stretch, were it always the mean"]) == (0.5, 1.0)
    assert found["when, first stall"] == 0.0
    assert np.isnan(found["when, only stall"])


def test_codecs_are_alike_and_so_are_losses_of_high_frequencies() -> None:
    def said(true: str, written: str) -> Said:
        return Said("kind", ("a.mp4",), true, written)

    assert said("H.264 compression", "H. 265 compression").nearly_right
    assert said("ringing", "defocus blur").nearly_right and not said("ringing", "defocus blur").right
    assert not said("AV1 compression", "ringing").nearly_right
    assert not said("noise", "banding").nearly_right


def test_svms_find_what_is_in_the_features() -> None:
    labels = {video: row for video, row in copies().items() if "-from-" not in video}
    for further in "cdefg":
        again = {v.replace("a/", f"{further}/"): row for v, row in copies().items() if v[0] == "a"}
        labels |= {v: {**row, "source": further, "video": v} for v, row in again.items()}
    random = np.random.default_rng(0)
    features = {
        video: np.array([3.0 * (r["kind"] == "noise"), 3.0 * (r["kind"] == "judder"), 1.0])
        * (1 + float(r["strength"]))
        * (1 + 0.01 * random.standard_normal(3))
        for video, r in labels.items()
    }
    found = svm_figures(features, labels)
    assert found["kind, spatial, or one that looks alike"] >= found["kind, spatial"] > 0.7
    assert found["kind, temporal"] > 0.7
    assert found["strength, spatial"] > 0.9 and found["worse, two steps apart, temporal"] == 1.0
