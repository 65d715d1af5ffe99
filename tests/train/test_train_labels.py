"""A run is tied to the labels that it was begun with."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from training_set import make_features, run_settings

from evaluate.report.publish import publish
from evaluate.results.run import evaluate_run
from evaluate.scoring.model import load_trained
from store.features import FeatureStore
from train.data.samples import Split
from train.errors import RunError
from train.job import TrainedRun, train_run
from train.saving.labels import load_labels


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    begin(folder, make_features(folder)[1])
    return folder


def begin(folder: Path, split: Split, run: str = "run", restart: bool = False) -> TrainedRun:
    store = FeatureStore(folder / "features")
    return train_run(run_settings(folder), store, {"demo": split}, folder / run, quiet=True, restart=restart)


def inverted(split: Split, part: str) -> Split:
    return {**split, part: [replace(label, mos=100 - label.mos) for label in split[part]]}


def split_of(place: Path) -> Split:
    records = load_labels(place / "run")["demo"].videos
    _, split = make_features(place)
    assert {video: record[0] for video, record in records.items()} == {
        label.video: label.mos for part in split.values() for label in part
    }
    return split


def test_changed_scores_of_any_part_are_refused_by_name(place: Path) -> None:
    split = split_of(place)
    first = split["test"][0]
    change = f"{first.video}: {first.mos:.10g} → {100 - first.mos:.10g}"
    with pytest.raises(
        RunError,
        match=rf"another run.*\n  labels of demo: 8 of 40 opinion scores differ: .*{change}.*\n.*--restart",
    ):
        begin(place, inverted(split, "test"))
    with pytest.raises(RunError, match=r"20 of 40 opinion scores differ: .*, …\n"):
        begin(place, inverted(split, "train"))


def test_moved_added_and_dropped_videos_are_counted_and_not_all_listed(place: Path) -> None:
    split = split_of(place)
    moved = {**split, "train": split["train"][:-10], "val": [*split["val"][2:], *split["train"][-10:]]}
    with pytest.raises(RunError) as raised:
        begin(place, moved)
    said = str(raised.value)
    assert "10 videos are in another split: v10: train → val" in said
    assert "2 videos are no longer there: v20, v21" in said
    assert max(map(len, said.splitlines())) < 250


def test_the_same_labels_in_another_order_are_the_same(place: Path) -> None:
    split = split_of(place)
    assert begin(place, split).outcome.resumed_from_step is not None
    begin(place, split, "other")
    assert load_labels(place / "run") == load_labels(place / "other")
    trained = begin(place, inverted(split, "train"), "other", restart=True)
    assert trained.outcome.resumed_from_step is None


def test_a_run_of_an_earlier_version_is_refused_in_words(place: Path) -> None:
    split = split_of(place)
    begin(place, split, "old")
    ties = json.loads((place / "old" / "run.json").read_text())
    del ties["format"], ties["model_type"]
    (place / "old" / "run.json").write_text(json.dumps(ties))
    with pytest.raises(
        RunError, match=r"run\.json has format 0.*an earlier one made it: train with --restart"
    ):
        begin(place, split, "old")
    assert begin(place, split, "old", restart=True).outcome.resumed_from_step is None


def test_an_evaluation_on_changed_test_labels_says_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = split_of(place)
    trained, store = load_trained(place / "run"), FeatureStore(place / "features")
    monkeypatch.setattr("evaluate.results.run.labelled_split", lambda _: split)
    assert evaluate_run(trained, store, quiet=True).remarks == []
    monkeypatch.setattr("evaluate.results.run.labelled_split", lambda _: inverted(split, "test"))
    evaluation = evaluate_run(trained, store, quiet=True)
    assert evaluation.remarks[0].startswith("since the run was begun, 8 of 8 opinion scores differ: ")
    published = publish(trained, evaluation)
    assert evaluation.remarks[0] in published.lines
    assert "opinion scores differ" in (published.folder / "report.html").read_text()
