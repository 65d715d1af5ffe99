"""Several models compared on the videos that all have: order, significance, what each lacks, formats."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evaluate.__main__ import app
from evaluate.errors import NothingToCompare, PredictionFileError
from evaluate.results.agreement import LabelSource
from evaluate.results.comparison import compare, model_names

VIDEOS = 120


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    """Labels of 120 videos, a good, a fair and a poor model; the last lacks ten videos and has another."""
    generator = np.random.default_rng(0)
    mos = generator.uniform(1, 5, VIDEOS)
    noise = {"good": 0.3, "fair": 0.9, "poor": 3.0}
    lines = {"labels": ["video,mos,content"], **{name: ["video,score"] for name in noise}}
    for i in range(VIDEOS):
        lines["labels"].append(f"v{i}.mp4,{mos[i]},c{i % 12}")
        for name, deviation in noise.items():
            if name != "poor" or i >= 10:
                lines[name].append(f"v{i},{mos[i] + generator.normal(0, deviation)}")
    lines["poor"].append("elsewhere,3")
    for name, text in lines.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(text) + "\n")
    return {name: tmp_path / f"{name}.csv" for name in lines}


def run(*arguments: str | Path) -> str:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], catch_exceptions=False).stdout


def test_models_are_judged_on_the_videos_that_all_have_best_first(models: dict[str, Path]) -> None:
    found = compare(
        [models["poor"], models["good"], models["fair"]], LabelSource(models["labels"], group="content")
    )
    assert found.models == ["good", "fair", "poor"] == list(found.scores) == list(found.metrics)
    assert (len(found.videos), found.labelled, len(found.mos)) == (110, 120, 110)
    assert found.missing == {"good": [], "fair": [], "poor": [f"v{i}" for i in range(10)]}
    assert found.unlabelled["poor"] == ["elsewhere"]
    assert found.groups is not None and len({*found.groups}) == 12
    assert [found.beaten(model) for model in found.models] == [["fair", "poor"], ["poor"], []]


def test_the_command_says_plainly_who_beats_whom_and_who_lacks_what(models: dict[str, Path]) -> None:
    said = run(models["poor"], models["good"], models["fair"], "--labels", models["labels"])
    assert "110 of 120 labelled videos have a score of every model" in said
    assert "poor lacks 10 of the labelled videos: v0, v1, v2, v3, v4, …" in said
    assert "poor has 1 video without label: elsewhere" in said
    assert "good is significantly better than fair" in said
    one, two, three = said.splitlines()[2:5]
    assert (one.split()[:2], two.split()[:2], three.split()[:2]) == (
        ["1", "good"],
        ["2", "fair"],
        ["3", "poor"],
    )


@pytest.mark.parametrize("form", ["markdown", "csv", "latex"])
def test_tables_are_printed_in_the_format_asked_for(models: dict[str, Path], form: str) -> None:
    said = run(models["good"], models["fair"], "--labels", models["labels"], "--format", form)
    if form == "csv":
        first, second = (list(csv.DictReader(io.StringIO(part))) for part in said.split("\n\n"))
        assert [row["Model"] for row in first] == ["good", "fair"] and second[0]["t"]
    else:
        assert ("|---" in said.replace(":", "-")) if form == "markdown" else said.count(r"\toprule") == 2


def test_json_has_figures_intervals_and_pairs(models: dict[str, Path]) -> None:
    found = json.loads(run(models["good"], models["fair"], "--labels", models["labels"], "--json"))
    assert (found["n"], found["labelled"], list(found["models"])) == (120, 120, ["good", "fair"])
    low, high = found["models"]["good"]["intervals"]["srcc"]
    assert low < found["models"]["good"]["srcc"] < high
    (pair,) = found["pairwise"]
    assert (pair["first"], pair["better"], pair["srcc"]["williams"]["df"]) == ("good", "good", 117)


@pytest.mark.slow
def test_published_models_are_compared_on_konvid(shared_data: Path) -> None:
    folder = shared_data / "predictions"
    said = run(
        folder / "dover_technical_konvid1k.csv",
        folder / "maxvqa_val-kv1k.csv",
        "--labels",
        shared_data / "labels" / "KoNViD-1k" / "labels.txt",
        *("--score-column", "score", "--score-column", "O", "--name", "DOVER", "--name", "MaxVQA"),
        "--json",
    )
    found = json.loads(said)
    assert list(found["models"]) == ["MaxVQA", "DOVER"] and found["n"] == 1200
    assert found["models"]["MaxVQA"]["srcc"] == pytest.approx(0.8615, abs=5e-5)
    assert found["models"]["DOVER"]["srcc"] == pytest.approx(0.8613, abs=5e-5)
    (pair,) = found["pairwise"]
    assert pair["better"] is None and pair["p_adjusted"] > 0.9


def test_opinion_scores_beside_the_predictions_must_agree(tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text("video,mos,score\na,1,1\nb,2,2\nc,3,3\n")
    other.write_text("video,score\na,1\nb,3\nc,2\n")
    assert compare([one, other], LabelSource()).mos == [1, 2, 3]
    other.write_text("video,mos,score\na,1,1\nb,4,3\nc,3,2\n")
    with pytest.raises(PredictionFileError, match=r"different opinion scores of 1 videos: b; .*--labels"):
        compare([one, other], LabelSource())


def test_models_without_a_common_video_are_refused(tmp_path: Path) -> None:
    one, other, labels = tmp_path / "one.csv", tmp_path / "other.csv", tmp_path / "labels.csv"
    one.write_text("video,score\na,1\nb,2\n")
    other.write_text("video,score\nc,1\n")
    labels.write_text("video,mos\na,1\nb,2\nc,3\n")
    with pytest.raises(NothingToCompare, match=r"no video has a score of every model.*one 2, other 1"):
        compare([one, other], LabelSource(labels))
    with pytest.raises(PredictionFileError, match="expected one for each"):
        compare([one, one], LabelSource(labels), names=["a"])
    with pytest.raises(PredictionFileError, match="3 columns of scores for 2 files"):
        compare([one, one], LabelSource(labels), ["a", "b", "c"])


def test_names_take_as_many_folders_as_they_need() -> None:
    def names(*files: str) -> list[str]:
        return model_names([Path(file) for file in files], ["score", "O", "T"][: len(files)])

    assert names("x/a.csv", "y/b.csv") == ["a", "b"]
    assert names("x/e/p.csv", "y/e/p.csv") == ["x/e/p", "y/e/p"]
    assert names("p.csv", "p.csv", "q.csv") == ["p (score)", "p (O)", "q"]
