"""A run's folder: who owns it, what a kill, a full disk and damage leave, and what it refuses."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from odd_disks import read_only, small_disk
from several_processes import finish, start
from training_set import make_features, run_settings, train, weights

from config.errors import Problem
from evaluate.report.publish import publish
from evaluate.results.run import evaluate_run
from evaluate.scoring.model import load_trained
from store.features import FeatureStore
from store.labels.files import Label
from train.errors import FeaturesMissingError, FeatureValueError, RunError, TrainError
from train.job import train_run
from train.saving.checkpoint import checkpoints, export, selected
from train.saving.folder import discard, owned

ONE_EPOCH = "pipelines.tiny.training.epochs=1"
OTHER = (ONE_EPOCH, "pipelines.tiny.training.seed=3")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saving")
    train(folder, "run", ONE_EPOCH)
    train(folder, "other", *OTHER)
    return folder


@pytest.fixture
def run(place: Path) -> Path:
    """A copy of the finished run, beside the same features."""
    folder = place / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(place / "run", folder))


def killed_at(removal: int, place: Path) -> None:
    """Train `copy` anew with another seed, in a process that dies within the removal of that number."""

    def restarted() -> None:
        import train.saving.folder as module

        done: list[Path] = []

        def dies(path: Path) -> bool:
            done.append(path)
            if path.exists() and path.name.startswith("tmp-") and len(done) > removal:
                os._exit(9)
            return bool(module_remove(path))

        module_remove, module.remove = module.remove, dies
        store, split = make_features(place)
        settings = run_settings(place, *OTHER)
        train_run(settings, store, {"demo": split}, place / "copy", quiet=True, restart=True)

    finish(start(restarted, 1))


@pytest.mark.slow
@pytest.mark.parametrize("removal", range(0, 8, 2))
def test_a_restart_that_is_killed_never_mixes_runs_nor_leaves_litter(
    place: Path, run: Path, removal: int
) -> None:
    killed_at(removal, place)
    assert list(run.glob("tmp-*"))
    try:
        again = train(place, "copy", ONE_EPOCH).outcome.resumed_from_step
    except RunError as error:  # nothing is left of the old run, or all that is left is of it
        pytest.fail(str(error))
    assert again is None
    expected = weights(place / "run")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(run).items())
    assert not list(run.rglob("*tmp-*"))


def test_checkpoints_of_a_run_that_is_not_known_are_refused(place: Path, run: Path) -> None:
    (run / "run.json").unlink()
    with pytest.raises(RunError, match=r"checkpoints is there without run\.json"):
        train(place, "copy", ONE_EPOCH)


def test_what_is_removed_is_litter_by_its_name_until_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "step").mkdir()
    (tmp_path / "step" / "file").touch()
    monkeypatch.setattr("train.saving.folder.remove", lambda _: False)
    discard(tmp_path / "step")
    assert [path.name for path in tmp_path.iterdir()] == ["tmp-step"]


def test_a_second_training_of_the_folder_is_told_who_trains_there(place: Path, run: Path) -> None:
    with (
        owned(run),
        pytest.raises(RunError, match=rf"process {os.getpid()} of .* trains there now: wait"),
    ):
        train(place, "copy", ONE_EPOCH)
    assert train(place, "copy", ONE_EPOCH).outcome.resumed_from_step == 3


def test_a_refusal_of_the_main_process_is_that_of_all(place: Path, run: Path) -> None:
    def refused() -> None:
        with pytest.raises(RunError, match="trains there now"):
            train(place, "copy", ONE_EPOCH)

    with owned(run):
        assert finish(start(refused, 2)) == [0, 0]


@pytest.mark.slow
def test_a_process_whose_neighbour_is_killed_says_so(place: Path) -> None:
    def lonely() -> None:
        import train.loop.stepper as module

        take = module.Stepper.take

        def killed(self: Any, *rest: Any) -> Any:
            if not self._accelerator.is_main_process:
                os.kill(os.getpid(), signal.SIGKILL)
            return take(self, *rest)

        module.Stepper.take = killed  # type: ignore[method-assign]
        with pytest.raises(TrainError, match="another process of this training ended"):
            train(place, "lonely", ONE_EPOCH)

    assert finish(start(lonely, 2)) == [0, -signal.SIGKILL]


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(place: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 9_000_000) as disk:
        (place / "disk").symlink_to(disk)
        (disk / "filler").write_bytes(bytes(7_500_000))
        with pytest.raises(RunError, match=r"cannot be written: .*[Nn]o space left.*the same command"):
            train(place, "disk/run", ONE_EPOCH)
        (disk / "filler").unlink()
        train(place, "disk/run", ONE_EPOCH)
        expected = weights(place / "run")
        assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(disk / "run").items())
        (place / "disk").unlink()


@pytest.mark.slow
def test_a_folder_that_may_not_be_written_is_told(place: Path, run: Path) -> None:
    trained, (store, split) = load_trained(run), make_features(place)
    labels = place / "labels.csv"
    labels.write_text("video,mos\n" + "".join(f"{label.video},{label.mos}\n" for label in split["test"]))
    dataset = trained.settings.dataset.model_copy(update={"labels": labels, "group": None})
    evaluation = evaluate_run(trained, store, dataset, quiet=True)
    with read_only(run):
        with pytest.raises(RunError, match="cannot be written: Read-only file system"):
            train(place, "copy", ONE_EPOCH)
        with pytest.raises(RunError, match=r"evaluation.* cannot be written: Read-only file system"):
            publish(trained, evaluation)
        with pytest.raises(RunError, match="cannot be written: Read-only file system"):
            export(run, run / "exported")


@pytest.mark.slow
@pytest.mark.parametrize(
    "file", ["model.safetensors", "training/state.pt", "training/progress.json", "SHA256SUMS"]
)
def test_a_flipped_byte_of_a_checkpoint_is_noticed(place: Path, run: Path, file: str) -> None:
    path = selected(run / "checkpoints") / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if file != "SHA256SUMS" else 0] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"cannot be read: it is not what was written.*copy or download"):
        train(place, "copy", ONE_EPOCH)
        load_trained(run)


def test_only_a_whole_model_is_exported(run: Path, tmp_path: Path) -> None:
    model = export(run, tmp_path / "model")
    (model / "config.json").write_text('{"model_type": "lmm-vqa", "format": 2, "settings": 3}')
    with pytest.raises(RunError, match=r"config\.json cannot be read as a model's description: settings: "):
        export(model, tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("name", ["file", "file/below", "."])
def test_what_cannot_be_a_runs_folder_is_refused(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    store, split = make_features(place)
    with pytest.raises(RunError, match=r"name a folder of the run's own|cannot be written: Not a directory"):
        train_run(run_settings(place, ONE_EPOCH), store, {"demo": split}, Path(name), quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_project_may_be_moved(place: Path, run: Path) -> None:
    tokenizer = Path(shutil.copytree(place / "tokenizer", place / "moved-tokenizer"))
    places = [
        f"pipelines.tiny.decoder.tokenizer={tokenizer}",
        f"datasets.demo.labels={place / 'elsewhere.csv'}",
        f"datasets.demo.videos={place / 'elsewhere'}",
    ]
    assert train(place, "copy", ONE_EPOCH, *places).outcome.resumed_from_step == 3
    assert load_trained(run).settings.dataset.labels == place / "elsewhere.csv"


@pytest.mark.slow
def test_features_too_large_to_compute_with_are_named_by_video_at_the_first_reading(tmp_path: Path) -> None:
    store, split = make_features(tmp_path)
    features = FeatureStore(tmp_path / "features").find("demo", "nss")
    for label in (split["train"][3], split["test"][2]):
        whole = {stream: features.read(label.video, stream) for stream in features.streams}
        with features.writer() as writer:
            writer.add(label.video, {**whole, "spatial": np.full_like(whole["spatial"], 3e38)})
        store, settings = FeatureStore(tmp_path / "features"), run_settings(tmp_path, ONE_EPOCH)
        with pytest.raises(
            FeatureValueError, match=rf"{label.video}, demo/nss@\w+, stream 'spatial'.* 3e\+38"
        ):
            train_run(settings, store, {"demo": split}, tmp_path / "run", quiet=True)
            evaluate(tmp_path / "run", split["test"])
        with features.writer() as writer:
            writer.add(label.video, whole)


def evaluate(run: Path, labels: list[Label]) -> Any:
    """The run's evaluation on these labels of its test videos."""
    trained, file = load_trained(run), run.parent / "test.csv"
    file.write_text("video,mos\n" + "".join(f"{label.video},{label.mos}\n" for label in labels))
    dataset = trained.settings.dataset.model_copy(update={"labels": file, "group": None})
    return evaluate_run(trained, FeatureStore(run.parent / "features"), dataset, quiet=True)


@pytest.mark.slow
def test_test_videos_without_features_are_missing_in_the_evaluation(tmp_path: Path) -> None:
    store, split = make_features(tmp_path)
    absent = Label("absent", 50.0)
    more = {**split, "test": [*split["test"], absent]}
    train_run(run_settings(tmp_path, ONE_EPOCH), store, {"demo": more}, tmp_path / "run", quiet=True)
    evaluation = evaluate(tmp_path / "run", [*more["test"], Label("of no split", 50.0)])
    assert evaluation.missing == ["absent"] and len(evaluation.rows) == 8


def test_labels_without_a_training_video_are_said_to_have_none(tmp_path: Path) -> None:
    store, split = make_features(tmp_path)
    with pytest.raises(FeaturesMissingError, match=r"demo give no training video, but 0 train, 8 test"):
        train_run(
            run_settings(tmp_path),
            store,
            {"demo": {"train": [], "test": split["test"]}},
            tmp_path / "run",
            quiet=True,
        )


def test_a_launcher_that_started_one_process_of_several_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `accelerate launch --cpu --num_processes 2` sets."""
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "no")
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.raises(TrainError, match=r"several processes, but started one: .*torch\.distributed\.run"):
        train(tmp_path, "run", ONE_EPOCH)


def test_an_exported_model_knows_no_split_of_its_own_dataset(run: Path, tmp_path: Path) -> None:
    model = export(run, tmp_path / "model")
    with pytest.raises(Problem, match=r"labels\.json, which says what videos are of which split, cannot"):
        evaluate_run(load_trained(model), FeatureStore(run.parent / "features"), quiet=True)
    assert checkpoints(model) == []
