import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from tiny_language import small_decoder
from training_set import logged, make_features, progress_of, run_settings, train, weights

from config.interruption import remembers_signals
from store.features import FeatureStore
from train.__main__ import _lines
from train.errors import (
    DecoderMissingError,
    DivergedError,
    FeaturesMissingError,
    MemoryExhaustedError,
    RunError,
    TrackerError,
)
from train.job import train_run
from train.loop.meter import training_flops_per_token
from train.model.quality import QualityModel
from train.pretrained import from_pretrained
from train.saving.checkpoint import Progress, save_checkpoint, selected
from train.saving.run import load_run

LONGER = (
    "pipelines.tiny.training.epochs=10",
    "pipelines.tiny.training.learning_rate=2e-3",
    "pipelines.tiny.tasks=['score']",
)


def test_training_learns_scores_that_follow_from_the_features(tmp_path: Path) -> None:
    trained = train(tmp_path, "run", *LONGER, videos=120)
    assert trained.videos == {"demo": {"train": 60, "val": 52, "test": 8}}
    assert trained.outcome.best_srcc is not None and trained.outcome.best_srcc > 0.6
    assert set(trained.trainable) == {"spatial", "temporal"}


def test_a_run_records_all_that_is_needed_to_repeat_it(tmp_path: Path) -> None:
    train(tmp_path, "run")
    run = load_run(tmp_path / "run")
    assert run.settings == run_settings(tmp_path)
    assert run.feature_keys.keys() == {"nss"} and run.split["demo"]["train"].videos == 20
    assert run.versions.keys() >= {"python", "torch", "transformers"}
    low, high = run.levels["level"]["demo"].cuts
    assert 0 < low < high < 100
    assert list((tmp_path / "run" / "tensorboard").rglob("events.*"))
    assert not any("decoder" in name for name in weights(tmp_path / "run"))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    steps = train(tmp_path, "run").outcome.steps
    again = train(tmp_path, "run")
    assert again.outcome.resumed_from_step == again.outcome.steps == steps
    assert (
        _lines(again)[0] == f"already trained: {tmp_path / 'run'} ({steps} steps); --restart trains it again"
    )


def test_another_run_is_not_mixed_into_a_folder(tmp_path: Path) -> None:
    train(tmp_path, "run")
    with pytest.raises(RunError, match=r"(?s)another run.*settings.*learning_rate: 0.003 → 0.5.*--restart"):
        train(tmp_path, "run", "pipelines.tiny.training.learning_rate=0.5")


def test_training_without_features_says_how_to_make_them(tmp_path: Path) -> None:
    store, split = make_features(tmp_path)
    absent = {name: [] for name in split} | {"train": [type(split["train"][0])("other", 50.0)]}
    with pytest.raises(FeaturesMissingError, match="make extract DATASET=demo PIPELINE=tiny"):
        train_run(run_settings(tmp_path), store, {"demo": absent}, tmp_path / "run", quiet=True)


def test_absent_decoder_weights_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DecoderMissingError, match=r"it comes with the repository[\s\S]*where to put it"):
        train(tmp_path, "run", f"pipelines.tiny.decoder.weights={tmp_path}/none")


def test_a_loss_that_is_no_number_stops_with_the_videos_named(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"the videos: v\d"):
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
    with pytest.raises(RunError, match=r"(?s)another run.*nss.specification.made: for tests → otherwise"):
        train_run(
            run_settings(tmp_path),
            store,
            {"demo": split},
            tmp_path / "run",
            quiet=True,
            keys={"nss": other.key},
        )


def test_the_trained_model_is_loaded_from_its_selected_checkpoint(tmp_path: Path) -> None:
    train(tmp_path, "run")
    model = from_pretrained(tmp_path / "run").model
    saved = load_file(selected(tmp_path / "run" / "checkpoints") / "model.safetensors")
    trained = {f"projectors.{name}": tensor for name, tensor in model.projectors.state_dict().items()}
    assert trained.keys() == saved.keys()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in trained.items())
    with pytest.raises(RunError, match="is not a run"):
        from_pretrained(tmp_path)


def test_every_steps_figures_are_in_the_tracker(tmp_path: Path) -> None:
    steps = train(tmp_path, "run").outcome.steps
    for figure in ("loss", "learning_rate", "gradient_norm", "speed/tokens_per_second", "memory/peak_gib"):
        found = logged(tmp_path / "run", figure)
        assert list(found) == list(range(1, steps + 1)) and all(value >= 0 for value in found.values())
    assert list(logged(tmp_path / "run", "validation/plcc")) == [3, 6, 9]
    (recorded,) = (tmp_path / "run" / "tensorboard").rglob("hparams.yml")
    assert "training.batch_size: 8\n" in recorded.read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [("tensorbord", "accelerate knows .*tensorboard"), ("comet_ml", "not installed.*tensorboard")],
)
def test_a_tracker_that_cannot_be_used_is_refused_before_training(
    tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(TrackerError, match=f"names '{name}'.*{message}"):
        train(tmp_path, "run", f"pipelines.tiny.training.trackers=['{name}']")
    assert not (tmp_path / "run").exists()


def test_validation_within_an_epoch_and_early_stopping_when_it_no_longer_improves(tmp_path: Path) -> None:
    settings = ("validate_every_steps=2", "early_stopping=2", "epochs=50", "learning_rate=1e-12")
    trained = train(tmp_path, "run", *(f"pipelines.tiny.training.{text}" for text in settings))
    # Steps 2 and 4 find what step 3, an epoch's end, finds too: nothing is learnt at such a rate.
    assert trained.outcome.stopped_early and trained.outcome.steps == 4
    assert [entry["step"] for entry in progress_of(tmp_path / "run")] == [2, 3, 4]
    assert selected(tmp_path / "run" / "checkpoints").name == "step-00000002-partial"
    again = train(tmp_path, "run", *(f"pipelines.tiny.training.{text}" for text in settings)).outcome
    assert again.resumed_from_step == again.steps == 4


def test_the_loss_is_the_same_with_and_without_workers(tmp_path: Path) -> None:
    budget = ("pipelines.tiny.training.tokens_per_batch=300", "pipelines.tiny.training.epochs=1")
    train(tmp_path, "none", *budget)
    train(tmp_path, "two", *budget, "pipelines.tiny.training.workers=2", "pipelines.tiny.training.prefetch=3")
    assert logged(tmp_path / "none", "loss") == logged(tmp_path / "two", "loss")
    assert all(torch.equal(t, weights(tmp_path / "two")[k]) for k, t in weights(tmp_path / "none").items())


def test_out_of_memory_says_what_was_tried_and_which_settings_lower_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = QualityModel.forward

    def too_much(self: QualityModel, videos: Any, questions: Any) -> torch.Tensor:
        losses = forward(self, videos, questions)
        return losses + torch.empty(2**60).sum()  # the allocator's own refusal

    monkeypatch.setattr(QualityModel, "forward", too_much)
    with pytest.raises(MemoryExhaustedError) as caught:
        train(tmp_path, "run")
    message = str(caught.value)
    assert "training on 8 videos of " in message and "random:0 in float32" in message
    for setting in ("tokens_per_batch = ", "decoder.dtype = ", "shard_decoder = true"):
        assert f"pipelines.tiny.{setting}" in message or f"training.{setting}" in message


@pytest.mark.slow
def test_in_bfloat16_the_projectors_stay_float32_and_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AcceleratorState, "_shared_state", {})  # else a process keeps one precision
    half = ("pipelines.tiny.training.precision=bfloat16", "pipelines.tiny.decoder.dtype=bfloat16")
    trained = train(tmp_path, "run", *half, *LONGER, "pipelines.tiny.training.epochs=5", videos=120)
    assert {tensor.dtype for tensor in weights(tmp_path / "run").values()} == {torch.float32}
    assert trained.outcome.best_srcc is not None and trained.outcome.best_srcc > 0.3
    losses = logged(tmp_path / "run", "loss")
    assert losses[40] < losses[1]


def test_only_the_videos_whose_own_loss_is_no_number_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.data.reader._LARGEST", math.inf)  # else it is refused when it is read
    make_features(tmp_path)
    features = FeatureStore(tmp_path / "features").find("demo", "nss")
    plain = [
        f"pipelines.tiny.branches.{branch}.projector.standardise=false" for branch in ("spatial", "temporal")
    ]
    store, split = make_features(tmp_path)
    with features.writer() as writer:
        broken = {stream: features.read("v7", stream) for stream in features.streams}
        broken["spatial"][:] = 3e38  # finite, as the store demands, but not for long
        writer.add("v7", broken)
    settings = run_settings(tmp_path, *plain, "pipelines.tiny.training.tokens_per_batch=1")
    with pytest.raises(DivergedError, match=r"the loss is nan; the videos: v7\. Check"):
        train_run(settings, store, {"demo": split}, tmp_path / "run", quiet=True)


@pytest.mark.slow
def test_checkpoints_are_saved_by_time_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []

    def noted(folder: Path, model: Any, progress: Progress, *rest: Any) -> None:
        saved.append(progress.step)
        save_checkpoint(folder, model, progress, *rest)

    monkeypatch.setattr("train.loop.trainer.save_checkpoint", noted)
    train(tmp_path, "seldom")
    assert saved == [3, 6, 9]
    saved.clear()
    train(tmp_path, "often", "pipelines.tiny.training.save_every_minutes=1e-12")
    assert saved == list(range(1, 10))


def test_a_frozen_decoder_takes_four_operations_for_each_weight_and_token() -> None:
    decoder = small_decoder(512, num_hidden_layers=1)
    attention, mlp = 2 * 32 * 32 + 2 * 32 * 16, 3 * 32 * 64
    assert training_flops_per_token(decoder) == 4 * (attention + mlp)


def test_signals_are_noted_and_a_second_ctrl_c_is_not_waited_with() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with remembers_signals() as requests:
        signal.raise_signal(signal.SIGTERM)
        assert requests.signal == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
        assert requests.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == before
