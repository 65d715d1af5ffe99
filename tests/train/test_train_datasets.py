"""One run on several datasets, each with an opinion scale, level cuts and a split of its own."""

from dataclasses import replace
from pathlib import Path

import pytest
from training_set import make_features, progress_of, run_settings, second_dataset, train

from config.load import SettingsError, load_settings
from config.schema import RunSettings
from evaluate.results.run import evaluate_run, evaluation_folder
from evaluate.scoring.model import load_trained, predict_stored
from store.features import FeatureStore
from train.data.reader import FeatureReader
from train.data.samples import dataset_samples
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
    monkeypatch.setattr("evaluate.results.run.labelled_split", lambda dataset: splits[dataset.name])
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
    folders = [evaluation_folder(trained, each.dataset, each.part).name for each in (first, second)]
    assert folders == ["evaluation", "evaluation-KoNViD-1k"]


def test_datasets_whose_features_have_other_keys_are_refused(tmp_path: Path) -> None:
    store, split = make_features(tmp_path)
    splits = {"demo": split, "KoNViD-1k": second_dataset(tmp_path, made="otherwise")}
    with pytest.raises(FeaturesMissingError, match=r"KoNViD-1k/nss@[\s\S]*make extract DATASET=KoNViD-1k"):
        train_run(both(tmp_path), store, splits, tmp_path / "run", quiet=True)


ALIGNED = "pipelines.tiny.aligned.KoNViD-1k={ slope = 1.5, intercept = -0.25 }"


def test_aligned_scores_are_what_is_learnt_and_answers_stay_in_their_range(tmp_path: Path) -> None:
    make_features(tmp_path)
    asked = run_settings(tmp_path, ALIGNED)
    konvid = load_settings(Path(__file__).parents[2] / "pipelines.toml").datasets["KoNViD-1k"]
    settings = RunSettings.model_validate(
        {**dict(asked), "datasets": (asked.dataset, asked.pipeline.on_its_scale(konvid))}
    )
    split = second_dataset(tmp_path)
    ends = [replace(label, mos=mos) for label, mos in zip(split["train"][:2], (1.0, 5.0), strict=True)]
    split["train"][:2] = ends
    branches = settings.pipeline.branches
    reader = FeatureReader(FeatureStore(tmp_path / "features"), settings.datasets[1], branches)
    samples = dataset_samples(settings, settings.datasets[1], split, reader)
    worst, best, *others = samples.parts["train"]
    assert (worst.mos, worst.score, worst.answers["score"]) == (1, -25, 0)
    assert (best.mos, best.score, best.answers["score"]) == (5, 125, 100)
    assert [one.score for one in others] == pytest.approx([37.5 * one.mos - 62.5 for one in others])
    assert all(one.answers["score"] == one.score for one in others if 0 <= one.score <= 100)
    plain = dataset_samples(settings, konvid, split, reader)
    cuts = zip(plain.levels["level"].cuts, samples.levels["level"].cuts, strict=True)
    assert all(cut == pytest.approx(1.5 * own - 25) for own, cut in cuts)
    levels = [[one.answers["level"] for one in each.parts["train"]] for each in (plain, samples)]
    assert levels[0] == levels[1]


def test_an_aligned_run_is_evaluated_on_the_datasets_own_scale(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, split = FeatureStore(place / "features"), make_features(tmp_path)[1]
    train_run(run_settings(tmp_path, ALIGNED), store, {"demo": split}, tmp_path / "run", quiet=True)
    trained = load_trained(tmp_path / "run")
    konvid = load_settings(Path(__file__).parents[2] / "pipelines.toml").datasets["KoNViD-1k"]
    monkeypatch.setattr("evaluate.results.run.labelled_split", lambda _: second_dataset(tmp_path))
    found = evaluate_run(trained, store, konvid, quiet=True)
    reader = FeatureReader(store, konvid, trained.settings.pipeline.branches, trained.run.feature_keys)
    said = predict_stored(trained, reader, [row.video for row in found.rows], quiet=True)
    for row, prediction in zip(found.rows, said, strict=True):
        assert prediction.score is not None and prediction.std is not None
        assert row.score == pytest.approx((prediction.score + 62.5) / 37.5)
        assert row.std == pytest.approx(prediction.std / 37.5)


def test_an_alignment_of_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tiny\.aligned names 'KoNViD', .*did you mean .KoNViD-1k"):
        run_settings(tmp_path, "pipelines.tiny.aligned.KoNViD={ slope = 1.0, intercept = 0.0 }")


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
