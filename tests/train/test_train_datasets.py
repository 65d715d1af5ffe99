"""One run on several datasets, each with an opinion scale, level cuts and a split of its own."""

from pathlib import Path

import pytest
from training_set import make_features, progress_of, run_settings, second_dataset, train

from config.load import load_settings
from config.schema import RunSettings
from evaluate.run import evaluate_run, evaluation_folder
from evaluate.score import load_trained
from store.features import FeatureStore
from train.errors import FeaturesMissingError
from train.job import train_run
from train.saving.labels import load_labels
from train.saving.run import load_run


def both(folder: Path, *overrides: str) -> RunSettings:
    alone = run_settings(folder, *overrides)
    konvid = load_settings(Path(__file__).parents[2] / "pipelines.toml").datasets["KoNViD-1k"]
    return alone.model_copy(update={"datasets": (alone.dataset, konvid)})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("datasets")
    store, split = make_features(folder)
    splits = {"demo": split, "KoNViD-1k": second_dataset(folder)}
    train_run(both(folder), store, splits, folder / "run", quiet=True)
    return folder


def test_the_run_keeps_split_and_cuts_of_each_dataset(place: Path) -> None:
    run = load_run(place / "run")
    assert [dataset.name for dataset in run.settings.datasets] == ["demo", "KoNViD-1k"]
    assert {name: split["train"].videos for name, split in run.split.items()} == {"demo": 20, "KoNViD-1k": 15}
    assert run.levels["level"]["demo"] != run.levels["level"]["KoNViD-1k"]
    assert all(0 < levels.cuts[0] < levels.cuts[1] < 100 for levels in run.levels["level"].values())
    assert run.levels_for("level", "KoNViD-1k") == run.levels["level"]["KoNViD-1k"]
    assert run.levels_for("level", "another") == run.levels_for("level") == run.levels["level"]["demo"]


def test_validation_gives_figures_of_each_dataset_and_their_mean(place: Path) -> None:
    found = progress_of(place / "run")[-1]
    assert found["srcc"] == pytest.approx((found["srcc/demo"] + found["srcc/KoNViD-1k"]) / 2)
    assert found["plcc"] == pytest.approx((found["plcc/demo"] + found["plcc/KoNViD-1k"]) / 2)


def test_a_run_is_evaluated_on_each_of_its_datasets(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, store = load_trained(place / "run"), FeatureStore(place / "features")
    splits = {"demo": make_features(place)[1], "KoNViD-1k": second_dataset(place)}
    monkeypatch.setattr("evaluate.run.labelled_split", lambda dataset: splits[dataset.name])
    first, second = (
        evaluate_run(trained, store, dataset, quiet=True) for dataset in (None, trained.settings.datasets[1])
    )
    assert (first.dataset, len(first.rows), first.part) == ("demo", 8, "test")
    assert (second.dataset, len(second.rows), second.part) == ("KoNViD-1k", 7, "test")
    assert second.scale.high == 5 and all(1 <= (row.score or 0) <= 5 for row in second.rows)
    cuts = trained.run.levels["level"]["KoNViD-1k"]
    assert [row.level for row in second.rows] == [
        cuts.level(second.scale.to_100(row.mos)) for row in second.rows if row.mos is not None
    ]
    folders = [evaluation_folder(trained, evaluation).name for evaluation in (first, second)]
    assert folders == ["evaluation", "evaluation-KoNViD-1k"]


def test_datasets_whose_features_have_other_keys_are_refused(tmp_path: Path) -> None:
    store, split = make_features(tmp_path)
    splits = {"demo": split, "KoNViD-1k": second_dataset(tmp_path, made="otherwise")}
    with pytest.raises(FeaturesMissingError, match=r"KoNViD-1k/nss@[\s\S]*make extract DATASET=KoNViD-1k"):
        train_run(both(tmp_path), store, splits, tmp_path / "run", quiet=True)


def test_a_dataset_is_taken_once(tmp_path: Path) -> None:
    alone = run_settings(tmp_path)
    with pytest.raises(ValueError, match="each dataset once, not demo, demo"):
        RunSettings.model_validate({**dict(alone), "datasets": (alone.dataset, alone.dataset)})


def test_a_share_of_the_data_is_what_the_run_records_and_fits_its_cuts_on(tmp_path: Path) -> None:
    whole = train(tmp_path, "whole")
    half = train(tmp_path, "half", "pipelines.tiny.training.data_share=0.5")
    assert whole.videos["demo"]["train"] == 20 and 5 < half.videos["demo"]["train"] < 15
    assert whole.videos["demo"]["val"] == half.videos["demo"]["val"]
    names = ("whole", "half")
    every, some = (load_labels(tmp_path / name)["demo"].split["train"] for name in names)
    assert set(some) < set(every)
    assert load_run(tmp_path / "whole").levels != load_run(tmp_path / "half").levels
