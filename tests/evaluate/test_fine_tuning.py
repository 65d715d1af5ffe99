"""Fine-tuning by folds: each begins with a run on another dataset, which has not seen what is tested."""

import json
from pathlib import Path

import pytest
from training_set import make_features, run_settings, second_dataset, train, weights

from config.load import load_settings
from config.schema import ProtocolSettings, RunSettings
from evaluate.protocols.outcome import protocol_table
from evaluate.protocols.run import run_protocol
from evaluate.protocols.trials import Trial, protocol_trials
from store.features import FeatureStore
from train.errors import RunError
from train.saving.run import load_run

PROTOCOL = ProtocolSettings(
    name="finetune", pipelines=("tiny",), dataset="KoNViD-1k", kind="published-folds", seed=0
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetune")
    train(folder, "origin")
    return folder


def prepared(folder: Path) -> tuple[RunSettings, list[Trial], FeatureStore]:
    """KoNViD-1k with labels and three folds in files, in LMM-VQA's own layout."""
    if not (folder / "labels.csv").exists():
        labels = [label for part in second_dataset(folder).values() for label in part]
        lines = "".join(f"{label.video},{label.mos}\n" for label in labels)
        (folder / "labels.csv").write_text("video,mos\n" + lines)
        for number in range(3):
            rows = [
                {"image_id": label.video, "ann_type": "score", "score": "61.250"}
                for label in labels[number::3]
            ]
            (folder / f"fold_{number}_ds.json").write_text(json.dumps({"annotations": rows}))
    konvid = (
        load_settings(Path(__file__).parents[2] / "pipelines.toml")
        .datasets["KoNViD-1k"]
        .model_copy(update={"labels": folder / "labels.csv", "folds": folder / "fold_*_ds.json"})
    )
    settings = run_settings(folder, "pipelines.tiny.training.epochs=2")
    settings = settings.model_copy(update={"datasets": (konvid,)})
    return settings, protocol_trials(PROTOCOL, [konvid]), FeatureStore(folder / "features")


@pytest.mark.slow
def test_each_published_fold_is_fine_tuned_from_the_run(place: Path) -> None:
    settings, trials, store = prepared(place)
    assert [len(trial.tested["KoNViD-1k"]) for trial in trials] == [10, 10, 10]
    assert len({label.video for trial in trials for label in trial.tested["KoNViD-1k"]}) == 30
    result = run_protocol(
        PROTOCOL, [settings], trials, store, place / "folds", starts={"tiny": place / "origin"}
    )
    assert (result.statistic, len(result.splits)) == ("mean", 3)
    each = [split.metrics["tiny, expected"]["srcc"] or 0.0 for split in result.splits]
    assert result.methods["tiny, expected"]["srcc"] == pytest.approx(sum(each) / 3)
    assert "mean of splits" in protocol_table(result)
    folds = [place / "folds" / "tiny" / f"split-{number}" for number in range(3)]
    for fold in folds:
        start = load_run(fold).start
        assert start is not None and (start.pipeline, start.datasets) == ("tiny", ("demo",))
        assert load_run(fold).seen == ("KoNViD-1k", "demo")
    before, *after = (weights(run) for run in (place / "origin", *folds))
    assert all(any((found[name] != before[name]).any() for name in before) for found in after)


def test_a_start_that_has_seen_the_tested_dataset_is_refused(place: Path) -> None:
    settings, trials, store = prepared(place)
    seen = place / "folds" / "tiny" / "split-0"
    if not seen.exists():
        run_protocol(PROTOCOL, [settings], trials, store, place / "folds", starts={"tiny": place / "origin"})
    with pytest.raises(RunError, match=r"split-0, .*was trained on KoNViD-1k, demo: it has seen videos"):
        run_protocol(PROTOCOL, [settings], trials, store, place / "again", starts={"tiny": seen})
    make_features(place)
    train(place, "later", "pipelines.tiny.training.epochs=1")
    with pytest.raises(RunError, match=r"nowhere is not a run or a trained model"):
        run_protocol(PROTOCOL, [settings], trials, store, place / "again", starts={"tiny": place / "nowhere"})
