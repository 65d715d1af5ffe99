"""The main job by its commands, on real small videos: extract, train, evaluate, predict, ladder."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from small_videos import cut_in_half, encode
from training_set import ROOT, decoder_overrides
from typer import Typer
from typer.testing import CliRunner

from evaluate.__main__ import app as evaluate_app
from extract.__main__ import app as extract_app
from store.__main__ import app as store_app
from store.labels.errors import VideoFolderError
from train.__main__ import app as train_app

MOS = {f"clip{i}": 1 + i / 3 for i in range(12)}


class Place:
    """A folder with videos, labels, store and run, and the commands on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.settings = [
            f"store.path={folder / 'features'}",
            f"datasets.demo.videos={folder / 'videos'}",
            f"datasets.demo.labels={folder / 'labels.csv'}",
            "datasets.demo.mos_range=[1, 5]",
            "datasets.demo.group=^(.+)$",
            *decoder_overrides(folder),
        ]

    def command(self, app: Typer, *arguments: str | Path, status: int = 0, sets: bool = True) -> str:
        overrides = [f"--set={text}" for text in self.settings] if sets else []
        config = [f"--config={ROOT / 'pipelines.toml'}"] if sets else []
        result = CliRunner().invoke(app, [*map(str, arguments), *config, *overrides], catch_exceptions=False)
        assert result.exit_code == status, result.output
        return result.stdout

    def data(self, app: Typer, *arguments: str | Path, status: int = 0, sets: bool = True) -> Any:
        return json.loads(self.command(app, *arguments, "--json", status=status, sets=sets))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "videos").mkdir()
    for i, name in enumerate(MOS):
        options = {"crf": str(50 - 3 * i), "preset": "ultrafast"}
        encode(folder / "videos" / f"{name}.mp4", frames=30 + i, rate=30, options=options)
    cut_in_half(encode(folder / "whole.mkv", frames=90), folder / "videos" / "half.mkv")
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = [*MOS.items(), ("half", 3.0), ("never-seen", 2.0)]
        csv.writer(file).writerows([("video", "mos"), *rows])
    place = Place(folder)
    place.extracted = place.data(extract_app, "demo", "--pipeline", "tiny", "--workers", "0")  # type: ignore[attr-defined]
    place.trained = place.data(train_app, "tiny", "--run", place.run)  # type: ignore[attr-defined]
    place.evaluated = place.data(evaluate_app, "run", place.run)  # type: ignore[attr-defined]
    return place


def test_extraction_reports_what_it_did_and_what_is_missing(place: Any) -> None:
    assert place.extracted["done"] == 12
    assert place.extracted["missing"] == ["never-seen"]
    assert [entry["kind"] for entry in place.extracted["quarantined"].values()] == ["truncated"]
    again = place.data(extract_app, "demo", "--pipeline", "tiny", "--workers", "0")
    assert (again["done"], again["already"]) == (0, 12)


def test_the_store_shows_what_is_there(place: Any) -> None:
    (features,) = place.data(store_app, "ls", "--store", place.folder / "features", sets=False)[
        "feature_sets"
    ]
    assert features["videos"] == 12 and features["quarantined"] == 1
    place.command(store_app, "verify", "demo/nss", "--store", place.folder / "features", sets=False)


def test_training_leaves_out_what_has_no_features_by_name(place: Any) -> None:
    assert sorted(place.trained["missing"]["demo"]) == ["half", "never-seen"]
    assert sum(place.trained["videos"]["demo"].values()) == 12


def test_evaluation_writes_predictions_metrics_tables_and_report(place: Any) -> None:
    folder = place.run / "evaluation"
    metrics = json.loads((folder / "metrics.json").read_text())
    n = place.trained["videos"]["demo"]["test"]
    assert metrics["n"] == place.evaluated["n"] == n > 0
    assert {"expected", "generate", "parse_failures", "level_accuracy"} <= metrics.keys()
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == n
    assert all(
        1 <= float(row["score"]) <= 5 and float(row["mos"]) == pytest.approx(MOS[row["video"]])
        for row in rows
    )
    report = (folder / "report.html").read_text()
    assert "<svg" in report and rows[0]["video"] in report
    assert {"table.md", "table.csv", "table.tex"} <= {path.name for path in folder.iterdir()}


def test_the_predictions_can_be_judged_like_any_other_models(place: Any) -> None:
    found = place.data(
        evaluate_app,
        "metrics",
        "--predictions",
        place.run / "evaluation" / "predictions.csv",
        "--labels",
        place.folder / "labels.csv",
        sets=False,
    )
    assert found["n"] == place.evaluated["n"]
    assert found["metrics"]["srcc"] == place.evaluated["expected"]["srcc"]


def test_predict_scores_every_readable_file_and_gives_the_reason_for_the_others(place: Any) -> None:
    (place.folder / "videos" / "empty.mp4").touch()
    files = [place.folder / "videos", place.folder / "absent.mp4"]
    rows = place.data(evaluate_app, "predict", *files, "--run", place.run, status=1, sets=False)
    (place.folder / "videos" / "empty.mp4").unlink()
    by_name = {Path(row["video"]).name: row for row in rows}
    assert len(rows) == 15
    for name in ("half.mkv", "empty.mp4", "absent.mp4"):
        assert by_name[name]["score"] is None and by_name[name]["error"]
    good = by_name["clip0.mp4"]
    assert good["error"] is None and 0 <= good["score"] <= 100 and good["std"] > 0
    assert good["mos"] == pytest.approx(1 + good["score"] / 25, abs=0.01) and good["seconds"] > 0
    assert good["warnings"] == []
    alone = place.data(
        evaluate_app, "predict", place.folder / "videos" / "clip0.mp4", "--run", place.run, sets=False
    )
    assert alone == [good]


def test_predict_shows_what_is_peculiar_about_a_video(place: Any) -> None:
    path = encode(place.folder / "peculiar.h264", frames=30, container_format="h264")
    warning = "30 frames without a timestamp: placed by the frame rate"
    (row,) = place.data(evaluate_app, "predict", path, "--run", place.run, sets=False)
    assert row["score"] is not None and warning in row["warnings"]
    table = place.command(evaluate_app, "predict", path, "--run", place.run, sets=False)
    assert f"{path}: {warning}" in table.splitlines()
    text = place.command(evaluate_app, "predict", path, "--run", place.run, "--csv", sets=False)
    (row,) = csv.DictReader(text.splitlines())
    assert warning in row["warnings"] and row["error"] == ""


def test_predict_refuses_a_folder_without_videos(place: Any) -> None:
    (place.folder / "nothing").mkdir()
    with pytest.raises(VideoFolderError, match="no video in"):
        place.command(evaluate_app, "predict", place.folder / "nothing", "--run", place.run, sets=False)


def test_predictions_from_files_equal_those_from_stored_features(place: Any) -> None:
    with (place.run / "evaluation" / "predictions.csv").open() as file:
        stored = {row["video"]: 25 * (float(row["score"]) - 1) for row in csv.DictReader(file)}
    files: Sequence[Path] = [place.folder / "videos" / f"{name}.mp4" for name in stored]
    rows = place.data(evaluate_app, "predict", *files, "--run", place.run, sets=False)
    for row in rows:
        assert row["score"] == pytest.approx(stored[Path(row["video"]).stem], abs=0.02)


def test_the_ladder_scores_graded_degradations_of_a_video(place: Any) -> None:
    found = place.data(
        evaluate_app, "ladder", place.folder / "videos" / "clip11.mp4", "--run", place.run, sets=False
    )
    assert set(found["kinds"]) == {"crf", "blur", "noise", "freeze"}
    assert found["mean"] == pytest.approx(sum(found["kinds"].values()) / 4)
    assert all(len(ladder["scores"]) == 5 for ladder in found["ladders"])


def test_missing_data_is_explained_with_where_to_get_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from config.errors import Problem

    settings = [f"--config={root / 'pipelines.toml'}", "--set=datasets.LSVQ.labels=./nowhere.csv"]
    monkeypatch.chdir(tmp_path)
    for app, arguments in ((extract_app, ["LSVQ"]), (train_app, [])):
        with pytest.raises(Problem, match=r"(?s)missing.*get them from: https.*make demo"):
            CliRunner().invoke(app, [*arguments, *settings], catch_exceptions=False)
