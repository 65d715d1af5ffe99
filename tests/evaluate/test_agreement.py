"""Judging a file of predictions: published figures on real labels, and nothing left out silently."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluate.__main__ import app
from evaluate.errors import PredictionFileError
from evaluate.results.agreement import LabelSource, judge, judge_columns
from store.labels.errors import LabelLayoutError

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
    assert list(result["metrics"]) == [*("srcc", "plcc_raw", "plcc", "krcc", "rmse", "r2", "outlier_ratio")]
    assert result["metrics"]["srcc"] == pytest.approx(0.8613, abs=5e-5)
    assert result["intervals"]["srcc"][0] < 0.8613 < result["intervals"]["srcc"][1]


def test_constant_scores_are_null_in_json_with_the_reason(tmp_path: Path) -> None:
    predictions, labels = files(tmp_path, "video,score\na,1\nb,1\n", "video,mos\na,1\nb,2\n")
    arguments = ["metrics", "--predictions", str(predictions), "--labels", str(labels)]
    result = json.loads(CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert set(result["metrics"].values()) == {None}
    assert result["note"] == "all scores are equal"
    plain = CliRunner().invoke(app, arguments, catch_exceptions=False).stdout
    assert "score: all scores are equal" in plain and "2 of 2" in plain


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


@pytest.mark.slow
def test_published_scores_beside_their_opinion_scores_are_judged_without_labels(shared_data: Path) -> None:
    """Its authors print SRCC .8691 and PLCC .8687 after their own fit."""
    judgement = judge(shared_data / "predictions" / "relaxvqa_lsvq_test.csv", score_column="y_test_pred")
    assert judgement.n == 7155
    assert judgement.metrics.srcc == pytest.approx(0.8691, abs=5e-5)
    assert judgement.metrics.plcc == pytest.approx(0.8687, abs=2e-4)
    assert judgement.metrics.plcc_raw == pytest.approx(0.8683, abs=1e-3)
    assert judgement.metrics.rmse == pytest.approx(5.1917, abs=1e-3)
    assert judgement.metrics.r2 == pytest.approx(0.8687**2, abs=1e-3)


MAXVQA = {"O": 0.797, "A-1": 0.5763, "T-1": 0.6641, "T-all": 0.7551}


@pytest.mark.slow
def test_each_dimension_is_judged_by_its_own_opinion_scores_in_one_command(shared_data: Path) -> None:
    """MaxVQA's 16 dimensions, whose labels name no videos; the figures are scipy's, row by row."""
    predictions = shared_data / "predictions" / "maxvqa_val-maxwell.csv"
    labels = shared_data / "labels" / "MaxWell" / "MaxWell_val.csv"
    arguments = ["metrics", "--predictions", str(predictions), "--labels", str(labels), "--by-row"]
    arguments += ["--score-column", "all"]
    plain = CliRunner().invoke(app, arguments, catch_exceptions=False).stdout
    rows = [line.split() for line in plain.splitlines()[2:18]]
    assert len({row[0] for row in rows}) == 16 and plain.count("909 of 909") == 16
    assert [row[1] for row in rows] == ["mos" if row[0] == "O" else row[0] for row in rows]
    found = {row[0]: float(row[2]) for row in rows}
    assert {name: found[name] for name in MAXVQA} == pytest.approx(MAXVQA, abs=1e-4)
    with pytest.raises(LabelLayoutError, match=r"none of the columns.*--by-row"):
        judge(predictions, labels, score_column="O")


def test_dimensions_without_opinion_scores_of_their_own_are_judged_by_the_overall_ones(
    shared_data: Path,
) -> None:
    source = LabelSource(shared_data / "labels" / "KoNViD-1k" / "labels.txt")
    predictions = shared_data / "predictions" / "maxvqa_val-kv1k.csv"
    overall, technical = judge_columns(predictions, source, ["O", "T-all"])
    assert (overall.against, technical.against, overall.n) == ("mos", "mos", 1200)
    assert overall.metrics.srcc == pytest.approx(0.8615, abs=5e-5)


def test_columns_beside_opinion_scores_are_not_judged_by_each_other(tmp_path: Path) -> None:
    predictions, _ = files(tmp_path, "video,mos,x,y,name\na,1,3,1,p\nb,2,2,2,q\nc,3,1,3,r\n", "")
    found = judge_columns(predictions, LabelSource(), ["all"])
    assert [(each.column, each.against) for each in found] == [("x", "mos"), ("y", "mos")]
    assert [each.metrics.srcc for each in found] == pytest.approx([-1, 1])


def test_standard_deviations_beside_the_scores_are_judged(tmp_path: Path) -> None:
    rows = "".join(f"v{i},{i},{i + (0.5 if i % 2 else 5)},1\n" for i in range(20))
    predictions, labels = files(
        tmp_path, f"video,mos,score,std\n{rows}", "video,mos\n" + "".join(f"v{i},{i}\n" for i in range(20))
    )
    arguments = ["metrics", "--predictions", str(predictions), "--labels", str(labels)]
    result = json.loads(CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert result["calibration"]["coverage"] == {"50": 0.5, "80": 0.5, "95": 0.5}
    plain = CliRunner().invoke(app, arguments, catch_exceptions=False).stdout
    assert "50.0% in 50 % intervals, 50.0% in 80 % intervals, 50.0% in 95 % intervals (20 videos" in plain


def test_games_make_intervals_of_whole_contents(shared_data: Path, tmp_path: Path) -> None:
    labels = shared_data / "labels" / "VITAL" / "YT-Gaming.json"
    entries = json.loads(labels.read_text())
    lines = [f"{entry['video']},{len(entry['video'])}\n" for entry in entries]
    (tmp_path / "p.csv").write_text("video,score\n" + "".join(lines))
    (grouped,) = judge_columns(tmp_path / "p.csv", LabelSource(labels, group=r"^(.+)-\d+$"))
    (single,) = judge_columns(tmp_path / "p.csv", LabelSource(labels))
    assert (grouped.groups, single.groups, grouped.n) == (59, None, 600)
    assert grouped.intervals.srcc and single.intervals.srcc
    wide, narrow = (high - low for low, high in (grouped.intervals.srcc, single.intervals.srcc))
    assert wide > 1.5 * narrow  # names, and so these scores, are the games'


def test_a_file_without_numbers_has_no_columns_to_judge(tmp_path: Path) -> None:
    predictions, labels = files(tmp_path, "video,said\na,good\nb,bad\n", "video,mos\na,1\nb,2\n")
    with pytest.raises(PredictionFileError, match=r"no column of scores.*it has: video, said"):
        judge_columns(predictions, LabelSource(labels), ["all"])
