"""`python -m evaluate tables`: runs' evaluations stand in the tables that they belong to."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from training_set import ROOT
from typer.testing import CliRunner, Result

from config.load import load_settings
from evaluate.__main__ import app
from evaluate.metrics.scores import Intervals, LevelAccuracy, score_metrics
from evaluate.report.named import belonging, named_table
from evaluate.report.ours import own_results
from evaluate.results.predictions import PredictedVideo
from evaluate.results.run import Evaluation, write_evaluation
from store.labels.files import MosScale
from store.labels.merging import read_labels
from train.errors import RunError
from train.saving.run import RUN, Part, Run, Start

THREE = ("poor", "fair", "good")


def make_run(folder: Path, trained_on: str = "LSVQ", start: Start | None = None, **training: float) -> Path:
    """A run's folder as training leaves it, without weights."""
    folder.mkdir()
    overrides = [f"pipelines.tiny.training.{key}={value}" for key, value in training.items()]
    settings = load_settings(ROOT / "pipelines.toml", ["decoders.embedded.weights=random:0", *overrides])
    Run(
        settings=settings.run(settings.pipelines["tiny"], settings.datasets[trained_on]),
        features={},
        shapes={},
        levels={},
        split={trained_on: {"train": Part(videos=1, subset="")}},
        decoder=None,
        start=start,
        versions={},
    ).write(folder / RUN)
    return folder


def add_evaluation(
    run: Path,
    dataset: str,
    part: str,
    mos: Sequence[float],
    scores: Sequence[float],
    missing: Sequence[str] = (),
) -> None:
    """What `python -m evaluate run` writes of these scores."""
    metrics = score_metrics(mos, scores)
    levels = LevelAccuracy(len(mos), 0.75, dict.fromkeys(THREE, 0.75), {})
    evaluation = Evaluation(
        dataset=dataset,
        scale=MosScale(0, 100),
        part=part,
        rows=[
            PredictedVideo(f"v{i}", m, s, None, s, None, None, "")
            for i, (m, s) in enumerate(zip(mos, scores, strict=True))
        ],
        expected=metrics,
        expected_intervals=Intervals(),
        generate=metrics,
        generate_intervals=Intervals(),
        parse_failures=0,
        spread=None,
        levels=levels,
        levels_generate=levels,
        missing=list(missing),
        tasks={},
        remarks=[],
    )
    write_evaluation(run / f"evaluation-{dataset}-{part}", evaluation)


def invoke(*arguments: str | Path, status: int = 0) -> Result:
    result = CliRunner().invoke(app, ["tables", *map(str, arguments)], catch_exceptions=status == 1)
    assert result.exit_code == status, result.output
    return result


def cells(table: str, method: str) -> dict[str, str]:
    """The CSV's row of that method."""
    (row,) = [row for row in csv.DictReader(io.StringIO(table)) if row["Method"] == method]
    return row


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "mine")


def test_real_predictions_of_another_model_stand_where_its_test_set_stands(
    run: Path, shared_data: Path
) -> None:
    mos = {
        label.video: label.mos for label in read_labels(shared_data / "labels" / "KoNViD-1k" / "labels.txt")
    }
    with (shared_data / "predictions" / "dover_technical_konvid1k.csv").open() as file:
        scores = {Path(row["video"]).stem: float(row["score"]) for row in csv.DictReader(file)}
    pairs = [(value, scores[Path(video).stem]) for video, value in mos.items()]
    add_evaluation(run, "KoNViD-1k", "all", *zip(*pairs, strict=True))
    row = cells(
        invoke("out-of-distribution", "--run", run, "--format", "csv").stdout, "mine, expected (ours)"
    )
    assert (row["KoNViD-1k SRCC"], row["Trained on"]) == ("0.861", "LSVQ")
    assert row["KoNViD-1k SRCC rank"] == "5"  # after LMM-VQA's two, Q-Align and MinimalisticVQA
    assert (
        row["Source"].startswith("ours: KoNViD-1k: tiny; 1,200 videos") and "random weights" in row["Source"]
    )


def test_ours_is_the_best_where_it_is_and_ties_share_the_mark(run: Path) -> None:
    mos = [float(i) for i in range(1200)]
    add_evaluation(run, "KoNViD-1k", "all", mos, mos)
    shown = invoke("out-of-distribution", "field", "--run", run, "--format", "markdown").stdout
    ours = [line for line in shown.splitlines() if "(ours)" in line]
    assert len(ours) == 4 and all(line.count("**1.000**") == 2 for line in ours)
    (theirs,) = [line for line in shown.splitlines() if "w/multi" in line and "Table IV |" in line]
    assert "<u>0.901</u>" in theirs


@pytest.mark.parametrize(("videos", "missing"), [(1199, []), (1200, ["absent"])])
def test_a_part_of_a_test_set_is_shown_without_a_rank(run: Path, videos: int, missing: list[str]) -> None:
    mos = [float(i) for i in range(videos)]
    add_evaluation(run, "KoNViD-1k", "all", mos, mos, missing)
    table = invoke("field", "--run", run, "--format", "csv").stdout
    assert cells(table, "mine, expected (ours)")["KoNViD-1k, OOD SRCC"] == "1.000"
    assert cells(table, "mine, expected (ours)")["KoNViD-1k, OOD SRCC rank"] == ""
    assert cells(table, "LMM-VQA (w/multi-task)")["KoNViD-1k, OOD SRCC rank"] == "1"


@pytest.mark.parametrize(
    ("videos", "release"), [(1142, "(1,142)"), (1380, "(1,380)"), (1150, "(release unknown)")]
)
def test_a_release_of_youtube_ugc_is_known_by_its_number_of_videos(
    run: Path, videos: int, release: str
) -> None:
    mos = [float(i) for i in range(videos)]
    add_evaluation(run, "YouTube-UGC", "all", mos, mos)
    table = invoke("out-of-distribution", "--run", run, "--format", "csv").stdout
    row = cells(table, "mine, expected (ours)")
    assert row[f"YouTube-UGC {release} SRCC"] == "1.000"
    # Only LMM-VQA's own models are known to have been tested on one of these releases
    assert row[f"YouTube-UGC {release} SRCC rank"] == ("1" if videos == 1142 else "")


def test_other_training_data_are_not_compared(tmp_path: Path) -> None:
    mos = [float(i) for i in range(1200)]
    seen = Start(pipeline="tiny", datasets=("LSVQ",), weights="")
    for run in (
        make_run(tmp_path / "quarter", data_share=0.25),
        make_run(tmp_path / "continued", "LIVE-VQC", seen),
    ):
        add_evaluation(run, "KoNViD-1k", "all", mos, mos)
    table = invoke(
        "field", "--run", tmp_path / "quarter", "--run", tmp_path / "continued", "--format", "csv"
    ).stdout
    quarter, continued = (cells(table, f"{name}, expected (ours)") for name in ("quarter", "continued"))
    assert (quarter["Trained on"], continued["Trained on"]) == ("25% of LSVQ", "LIVE-VQC + LSVQ")
    assert cells(table, "LMM-VQA (w/multi-task)")["KoNViD-1k, OOD SRCC rank"] == "1"


def test_what_the_weights_have_seen_is_not_out_of_distribution(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "LIVE-VQC", Start(pipeline="tiny", datasets=("KoNViD-1k",), weights=""))
    add_evaluation(run, "KoNViD-1k", "all", [1, 2, 3], [1, 2, 3])
    assert [belonging(result) for result in own_results(run)] == [[], []]


def test_levels_and_ablations_take_what_was_tested_on_their_test_set(run: Path) -> None:
    add_evaluation(run, "LSVQ", "test", [float(i) for i in range(7182)], [float(i) for i in range(7182)])
    (expected, _) = own_results(run)
    assert {"in-sample", "levels", "field", "ablation-tokens"} <= set(belonging(expected))
    assert not {"zero-shot", "out-of-distribution", "fine-tuning", "vcgbench"} & set(belonging(expected))
    row = cells(named_table("levels", [expected]).render("csv"), "mine, expected (ours)")
    assert row["LSVQ test, in-sample Total"] == "0.750"


def test_what_does_not_belong_is_said(run: Path) -> None:
    add_evaluation(run, "demo", "all", [1, 2, 3], [3, 1, 2])
    add_evaluation(run, "LIVE-VQC", "all", [1, 2, 3], [3, 1, 2])
    result = invoke("in-sample", "--run", run)
    assert (
        "evaluation-demo-all: demo, all, ood: in none of the tables shown; no table has that" in result.stderr
    )
    assert (
        "LIVE-VQC, all, ood: in none of the tables shown; it belongs to out-of-distribution" in result.stderr
    )
    assert "(ours)" not in result.stdout


def test_a_folder_gets_every_format_or_the_one_asked_for(tmp_path: Path) -> None:
    invoke("levels", "field", "--out", tmp_path / "all")
    names = {f"{name}.{end}" for name in ("levels", "field") for end in ("txt", "md", "csv", "tex")}
    assert {file.name for file in (tmp_path / "all").iterdir()} == names
    invoke("levels", "--out", tmp_path / "one", "--format", "latex")
    assert [file.name for file in (tmp_path / "one").iterdir()] == ["levels.tex"]
    assert (tmp_path / "one" / "levels.tex").read_text() == named_table("levels").render("latex")


def test_the_list_names_every_table_that_is_printed_by_default() -> None:
    listed = [line.split()[0] for line in invoke("--list").stdout.splitlines()]
    shown = invoke("--format", "latex").stdout
    assert all(f"\\label{{tab:{name}}}" in shown for name in listed) and "in-sample" in listed


def test_a_folder_that_is_no_run_or_was_not_evaluated_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="python -m evaluate run"):
        own_results(run)
    with pytest.raises(RunError, match="not a run"):
        own_results(tmp_path)
    (run / "evaluation").mkdir()
    (run / "evaluation" / "metrics.json").write_text('{"expected": {}}')
    with pytest.raises(RunError, match=r"metrics\.json is no metrics\.json of"):
        own_results(run)
