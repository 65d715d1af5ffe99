import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_set import make_features, run_settings, train

from store.features import FeatureStore
from train.build import load_model
from train.checkpoint import checkpoints, selected
from train.data import epoch_batches, phrasing
from train.errors import DecoderMissingError, DivergedError, FeaturesMissingError, RunError
from train.job import train_run
from train.run import load_run


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoints(run / "checkpoints")[-1] / "model.safetensors")


def test_training_learns_scores_that_follow_from_the_features(tmp_path: Path) -> None:
    trained = train(tmp_path, "run", "pipelines.tiny.training.epochs=30", "pipelines.tiny.tasks=['score']")
    assert trained.videos == {"train": 20, "val": 12, "test": 8}
    assert trained.outcome.best_srcc is not None and trained.outcome.best_srcc > 0.6
    assert set(trained.trainable) == {"spatial", "temporal"}


def test_a_run_records_all_that_is_needed_to_repeat_it(tmp_path: Path) -> None:
    train(tmp_path, "run")
    settings, run = load_run(tmp_path / "run")
    assert settings == run_settings(tmp_path)
    assert run.feature_keys.keys() == {"nss"} and len(run.split["train"]) == 20
    assert run.versions.keys() >= {"python", "torch", "transformers"}
    assert 0 < run.cuts.low < run.cuts.high < 100
    assert list((tmp_path / "run" / "tensorboard").rglob("events.*"))
    assert not any("decoder" in name for name in weights(tmp_path / "run"))


def test_a_killed_run_that_is_continued_ends_bit_for_bit_like_an_undisturbed_one(tmp_path: Path) -> None:
    train(tmp_path, "undisturbed")
    script = Path(__file__).parent / "training_set.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(script.parents[1]), str(script.parent)])}
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), "killed"], env=environment, stderr=subprocess.DEVNULL
    )
    saved = tmp_path / "killed" / "checkpoints"
    while not any(path.name >= "step-00000004" for path in checkpoints(saved)):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = train(tmp_path, "killed").outcome.resumed_from_step
    assert resumed is not None and 4 <= resumed < 9
    expected, found = weights(tmp_path / "undisturbed"), weights(tmp_path / "killed")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    progress = [
        json.loads(
            (checkpoints(tmp_path / run / "checkpoints")[-1] / "training" / "progress.json").read_text()
        )
        for run in ("undisturbed", "killed")
    ]
    assert progress[0] == progress[1]


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    steps = train(tmp_path, "run").outcome.steps
    again = train(tmp_path, "run").outcome
    assert again.resumed_from_step == again.steps == steps


def test_another_run_is_not_mixed_into_a_folder(tmp_path: Path) -> None:
    train(tmp_path, "run")
    with pytest.raises(RunError, match=r"(?s)settings differ.*learning_rate: 0.001 → 0.5.*--restart"):
        train(tmp_path, "run", "pipelines.tiny.training.learning_rate=0.5")


def test_accumulated_batches_take_the_step_of_one_large_batch(tmp_path: Path) -> None:
    plain = ("pipelines.tiny.spatial.projector.noise=0", "pipelines.tiny.spatial.projector.dropout=0")
    plain += ("pipelines.tiny.temporal.projector.noise=0", "pipelines.tiny.temporal.projector.dropout=0")
    train(tmp_path, "large", *plain)
    halves = ("pipelines.tiny.training.batch_size=4", "pipelines.tiny.training.accumulate=2")
    train(tmp_path, "halves", *plain, *halves)
    for name, tensor in weights(tmp_path / "large").items():
        torch.testing.assert_close(weights(tmp_path / "halves")[name], tensor, atol=2e-3, rtol=1e-3)


def test_every_video_is_seen_once_an_epoch_in_an_order_of_its_own(tmp_path: Path) -> None:
    settings = run_settings(tmp_path).pipeline.training
    first, second = (epoch_batches(20, settings, epoch) for epoch in (0, 1))
    assert sorted(i for batch in first for i in batch) == list(range(20))
    assert first != second and first == epoch_batches(20, settings, 0)
    drawn = [phrasing(settings, epoch, sample, 0, 4) for epoch in range(5) for sample in range(20)]
    assert set(drawn) == {0, 1, 2, 3}


def test_training_without_features_says_how_to_make_them(tmp_path: Path) -> None:
    store, split = make_features(tmp_path)
    absent = {name: [] for name in split} | {"train": [type(split["train"][0])("other", 50.0)]}
    with pytest.raises(FeaturesMissingError, match="make extract DATASET=demo PIPELINE=tiny"):
        train_run(run_settings(tmp_path), store, absent, tmp_path / "run", quiet=True)


def test_absent_decoder_weights_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DecoderMissingError, match=r"where to get it: `make decoder`[\s\S]*where to put it"):
        train(tmp_path, "run", f"pipelines.tiny.decoder.weights={tmp_path}/none")


def test_a_loss_that_is_no_number_stops_with_the_videos_named(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"the batch's videos: v\d"):
        train(
            tmp_path,
            "run",
            "pipelines.tiny.training.learning_rate=1e30",
            "pipelines.tiny.training.gradient_clip=1e30",
        )


def test_a_run_of_other_features_is_refused(tmp_path: Path) -> None:
    train(tmp_path, "run")
    other = FeatureStore(tmp_path / "features").feature_set("demo", "nss", {"made": "otherwise"})
    features = FeatureStore(tmp_path / "features").find("demo", "nss")
    with other.writer() as writer:
        for video in features.videos():
            writer.add(video, {stream: features.read(video, stream) for stream in features.streams})
    store, split = make_features(tmp_path)
    with pytest.raises(RunError, match=r"(?s)feature keys differ.*nss.made: for tests → otherwise"):
        train_run(run_settings(tmp_path), store, split, tmp_path / "run", quiet=True, keys={"nss": other.key})


def test_the_trained_model_is_loaded_from_its_selected_checkpoint(tmp_path: Path) -> None:
    train(tmp_path, "run")
    model = load_model(tmp_path / "run")
    saved = load_file(selected(tmp_path / "run" / "checkpoints") / "model.safetensors")
    trained = {f"projectors.{name}": tensor for name, tensor in model.projectors.state_dict().items()}
    assert trained.keys() == saved.keys()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in trained.items())
    with pytest.raises(RunError, match="is not a run"):
        load_model(tmp_path)
