"""Judging a file of predictions: published figures on real labels, and nothing left out silently."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluate.__main__ import app
from evaluate.results.agreement import judge

KONVID_LAYOUTS = ("KONVID_1K_metadata.csv", "labels.txt", "KoNViD-1k_data.mat")


def files(folder: Path, predictions: str, labels: str) -> tuple[Path, Path]:
    (folder / "predictions.csv").write_text(predictions)
    (folder / "labels.csv").write_text(labels)
    return folder / "predictions.csv", folder / "labels.csv"


@pytest.mark.parametrize("layout", KONVID_LAYOUTS)
def test_dovers_published_scores_get_their_published_correlations(shared_data: Path, layout: str) -> None:
    predictions = shared_data / "predictions" / "dover_technical_konvid1k.csv"
    judgement = judge(predictions, shared_data / "labels" / "KoNViD-1k" / layout)
    assert (judgement.n, judgement.missing, judgement.unlabelled) == (1200, [], [])
    assert judgement.metrics.srcc == pytest.approx(0.8613, abs=5e-5)
    assert judgement.metrics.plcc_raw == pytest.approx(0.8554, abs=5e-5)
    assert judgement.metrics.plcc == pytest.approx(0.8596, abs=5e-5)
    srcc, plcc = judgement.intervals.srcc, judgement.intervals.plcc
    assert srcc is not None and 0.84 < srcc[0] < 0.8613 < srcc[1] < 0.88
    assert plcc is not None and 0.84 < plcc[0] < 0.8596 < plcc[1] < 0.88


def test_the_command_prints_the_figures_as_json(shared_data: Path) -> None:
    predictions = shared_data / "predictions" / "dover_technical_konvid1k.csv"
    labels = shared_data / "labels" / "KoNViD-1k" / "labels.txt"
    arguments = ["metrics", "--predictions", str(predictions), "--labels", str(labels), "--json"]
    printed = CliRunner().invoke(app, arguments, catch_exceptions=False)
    result = json.loads(printed.stdout)
    assert (result["n"], result["missing"]) == (1200, [])
    assert list(result["metrics"]) == ["srcc", "plcc_raw", "plcc", "krcc", "rmse"]
    assert result["metrics"]["srcc"] == pytest.approx(0.8613, abs=5e-5)
    assert result["intervals"]["srcc"][0] < 0.8613 < result["intervals"]["srcc"][1]


def test_constant_scores_are_null_in_json_with_the_reason(tmp_path: Path) -> None:
    predictions, labels = files(tmp_path, "video,score\na,1\nb,1\n", "video,mos\na,1\nb,2\n")
    arguments = ["metrics", "--predictions", str(predictions), "--labels", str(labels)]
    result = json.loads(CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert set(result["metrics"].values()) == {None}
    assert result["note"] == "all scores are equal"
    plain = CliRunner().invoke(app, arguments, catch_exceptions=False).stdout
    assert "2 videos; all scores are equal" in plain and "undefined" in plain


def test_columns_of_both_files_can_be_named(tmp_path: Path) -> None:
    predictions, labels = files(
        tmp_path, "video,score,aesthetic\na,3,1\nb,2,2\nc,1,3\n", "clip,quality\na,1\nb,2\nc,3\n"
    )
    judgement = judge(
        predictions, labels, score_column="aesthetic", video_column="clip", mos_column="quality"
    )
    assert judgement.metrics.srcc == pytest.approx(1)


def test_scores_without_number_are_named_not_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictions, labels = files(
        tmp_path, "video,score\na,1\nb,2\nc,nan\nd,\ne,3\n", "video,mos\na,1\nb,2\nc,3\nd,4\nf,5\n"
    )
    with caplog.at_level(logging.WARNING):
        judgement = judge(predictions, labels)
    assert (judgement.n, judgement.missing, judgement.unlabelled) == (2, ["c", "d", "f"], ["e"])
    assert "3 labels without a score: c, d, f" in caplog.text and "1 without a label: e" in caplog.text


def test_a_fault_is_one_plain_line_and_status_one(tmp_path: Path, root: Path) -> None:
    predictions, labels = files(tmp_path, "video,score\na,high\n", "video,mos\na,1\n")
    command = [sys.executable, "-m", "evaluate", "metrics"]
    done = subprocess.run(
        [*command, "--predictions", str(predictions), "--labels", str(labels)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"error: {predictions}, line 2: score is 'high', expected a finite number\n"


def test_published_scores_beside_their_opinion_scores_are_judged_without_labels(shared_data: Path) -> None:
    """Its authors print SRCC .8691 and PLCC .8687 after their own fit."""
    judgement = judge(shared_data / "predictions" / "relaxvqa_lsvq_test.csv", score_column="y_test_pred")
    assert judgement.n == 7155
    assert judgement.metrics.srcc == pytest.approx(0.8691, abs=5e-5)
    assert judgement.metrics.plcc == pytest.approx(0.8687, abs=2e-4)
