"""A run that begins with the weights of another: stages, and fine-tuning on another dataset."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_set import ROOT, make_features, run_settings, second_dataset, train, weights

from config.errors import Problem
from config.load import load_settings
from train.errors import ContextExceeded, RunError
from train.job import train_run
from train.pretrained import from_pretrained
from train.saving.checkpoint import checkpoint_of
from train.saving.run import load_run

ONE_STEP_OF_NOTHING = ("pipelines.tiny.training.epochs=1", "pipelines.tiny.training.learning_rate=1e-30")
LORA = "pipelines.tiny.decoder.lora={ rank = 2, dropout = 0.0 }"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    train(folder, "first")
    return folder


def begin(place: Path, run: str, *overrides: str, start: str = "first") -> Path:
    """A run from `start` whose only steps change nothing."""
    store, split = make_features(place)
    settings = run_settings(place, *ONE_STEP_OF_NOTHING, *overrides)
    train_run(settings, store, {"demo": split}, place / run, quiet=True, start=place / start)
    return place / run


def test_a_run_begins_with_the_selected_weights_of_another_and_records_them(place: Path) -> None:
    run = begin(place, "second")
    origin = from_pretrained(checkpoint_of(place / "first")).model.projectors.state_dict()
    found = from_pretrained(run).model.projectors.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in origin.items())
    start = load_run(run).start
    assert start is not None and start.pipeline == "tiny" and start.datasets == ("demo",)
    card = (checkpoint_of(run) / "README.md").read_text()
    assert f"Started from tiny on demo ({start.weights})" in card


def test_the_same_command_continues_such_a_run_and_another_start_is_refused(place: Path) -> None:
    run = begin(place, "third")
    before = weights(run)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(begin(place, "third")).items())
    train(place, "other", "pipelines.tiny.training.seed=5")
    with pytest.raises(RunError, match=r"another run[\s\S]*start\.weights: sha256"):
        begin(place, "third", start="other")


def test_a_run_is_fine_tuned_on_a_dataset_of_another_scale(place: Path) -> None:
    store, _ = make_features(place)
    konvid = load_settings(ROOT / "pipelines.toml").datasets["KoNViD-1k"]
    settings = run_settings(place).model_copy(update={"datasets": (konvid,)})
    splits = {"KoNViD-1k": second_dataset(place, made="for tests")}
    train_run(settings, store, splits, place / "tuned", quiet=True, start=place / "first")
    origin = from_pretrained(place / "first").model.projectors["spatial"]
    tuned = from_pretrained(place / "tuned").model.projectors["spatial"]
    assert torch.equal(tuned.standardise.mean, origin.standardise.mean)
    last = "project.layers.0.weight"
    assert not torch.equal(tuned.state_dict()[last], origin.state_dict()[last])


def test_parts_that_are_new_begin_with_their_own_weights(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(place, "spatial", "pipelines.tiny.branches.temporal=false")
    run = begin(place, "with-temporal", start="spatial")
    assert "projectors.temporal begins with its own weights" in caplog.text
    found, origin = from_pretrained(run).model.projectors, from_pretrained(place / "spatial").model.projectors
    assert torch.equal(found["spatial"].scale, origin["spatial"].scale)
    assert "temporal" in found and "temporal" not in origin


def test_lora_may_begin_anew_or_go_on_but_is_never_lost(place: Path) -> None:
    adapted = begin(place, "adapted", LORA, "pipelines.tiny.training.seed=4")
    again = begin(place, "adapted-again", LORA, start="adapted")
    own, found = (load_file(next(run.rglob("adapter_model.safetensors"))) for run in (adapted, again))
    assert own and all(torch.allclose(found[name], tensor, atol=1e-20) for name, tensor in own.items())
    with pytest.raises(RunError, match="LoRA adapter, which would be lost"):
        begin(place, "without", start="adapted")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "pipelines.tiny.branches.spatial.projector.hidden=[8]",
            r"does not fit[\s\S]*size mismatch for projectors",
        ),
        ("pipelines.tiny.head=regression", "has a decoder head"),
        ("pipelines.tiny.decoder.weights=random:1", r"trained with another decoder[\s\S]*random:0"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_in_words(place: Path, change: str, message: str) -> None:
    with pytest.raises(RunError, match=message):
        begin(place, "refused", change, "pipelines.tiny.training.seed=9")
    for file in (place / "refused").glob("*"):
        if file.is_file():
            file.unlink()


def test_a_pipeline_that_continues_names_one_that_exists() -> None:
    with pytest.raises(Problem, match=r"pipelines\.tiny\.continues names 'tinny', which does not exist"):
        load_settings(ROOT / "pipelines.toml", ["pipelines.tiny.continues=tinny"])


def test_videos_that_the_decoder_cannot_read_whole_are_refused_before_training(tmp_path: Path) -> None:
    architecture = (
        '{ model_type = "llama", vocab_size = 512, hidden_size = 32, intermediate_size = 64,'
        " num_hidden_layers = 1, num_attention_heads = 2, max_position_embeddings = 32 }"
    )
    with pytest.raises(ContextExceeded, match=r"v\d+ of demo takes \d\d tokens.*at most 32"):
        train(tmp_path, "run", f"pipelines.tiny.decoder.architecture={architecture}")
