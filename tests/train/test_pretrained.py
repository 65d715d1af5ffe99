"""A trained model as a folder: what it holds, that it loads anywhere, and what it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from peft import PeftModel
from safetensors import safe_open
from tiny_language import quality_tasks, task_texts
from training_set import decoder_overrides, make_features, run_settings, train
from typer.testing import CliRunner

from config.errors import Problem
from demo.decoder_tokenizer import build_tokenizer
from evaluate.scoring.model import run_reader
from store.features import FeatureStore
from train.__main__ import app
from train.data.loading import FeatureReader
from train.errors import RunError
from train.model.decoder import load_decoder
from train.model.quality import QualityModel
from train.pretrained import TrainedModel, from_pretrained
from train.saving.checkpoint import checkpoints, export, load_training_state, read_progress, selected
from train.saving.weights import load_weights

LORA = "pipelines.tiny.decoder.lora={ rank = 2, alpha = 8, targets = ['q_proj', 'v_proj'] }"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, `run`, that trained an adapter, and the run's export, `model`."""
    folder = tmp_path_factory.mktemp("pretrained")
    train(folder, "run", LORA)
    export(folder / "run", folder / "model")
    return folder


@pytest.fixture
def copied(place: Path, tmp_path: Path) -> Path:
    """A copy of the exported model, to damage."""
    return Path(shutil.copytree(place / "model", tmp_path / "model"))


def scores(place: Path, trained: TrainedModel) -> list[float]:
    store, split = make_features(place)
    reader = FeatureReader(store, trained.settings.dataset, trained.settings.pipeline.branches)
    videos = [reader.read(label.video) for label in split["test"]]
    return [prediction.score for prediction in trained.predict(videos)]


def test_an_exported_model_is_what_hugging_face_users_expect(place: Path) -> None:
    model = place / "model"
    names = {str(path.relative_to(model)) for path in model.rglob("*") if path.is_file()}
    adapter = {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"}
    assert names == {"config.json", "model.safetensors", "README.md", "SHA256SUMS"} | adapter
    with safe_open(model / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "model_type": "lmm-vqa", "version": "2"}
        tensors = list(file.keys())
    assert "projectors.spatial.standardise.mean" in tensors
    assert all(name.startswith("projectors.") for name in tensors)
    config = json.loads((model / "config.json").read_text())
    assert config["model_type"] == "lmm-vqa" and config["format"] == 2
    assert config["features"]["nss"]["specification"] == {"made": "for tests"}
    assert config["decoder"]["weights"] == "random:0"
    split = config["split"]["demo"]
    assert {"train", "val", "test"} == split.keys() and split["train"]["videos"] == 20


def test_run_checkpoint_and_export_give_the_same_predictions(place: Path) -> None:
    from_run = from_pretrained(place / "run")
    assert from_run.checkpoint == selected(place / "run" / "checkpoints") and not from_run.model.training
    expected = scores(place, from_run)
    assert len(set(expected)) > 1
    assert scores(place, from_pretrained(place / "model")) == expected
    assert scores(place, from_pretrained(from_run.checkpoint)) == expected


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's own
def test_the_adapter_is_loaded_by_peft_itself(place: Path) -> None:
    ours = from_pretrained(place / "model").model
    assert isinstance(ours, QualityModel)
    settings = run_settings(place, LORA).pipeline.decoder
    theirs = PeftModel.from_pretrained(load_decoder(settings), str(place / "model" / "adapter")).eval()
    embeddings = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        adapted = theirs(inputs_embeds=embeddings).logits
        plain = load_decoder(settings)(inputs_embeds=embeddings).logits
        assert torch.equal(adapted, ours.decoder(inputs_embeds=embeddings).logits)
    assert not torch.allclose(adapted, plain)


def test_only_projectors_and_adapter_train_and_are_saved(place: Path) -> None:
    model = from_pretrained(place / "run").model
    assert set(model.trainable_parameters()) == {"spatial", "temporal", "lora"}
    with safe_open(place / "model" / "adapter" / "adapter_model.safetensors", "pt") as file:
        assert all("lora_" in name for name in file.keys())  # noqa: SIM118


def test_the_card_tells_data_features_seeds_and_that_the_decoder_is_random(place: Path) -> None:
    card = ModelCard.load(place / "model" / "README.md")
    assert card.data.datasets == ["demo"] and "random-weights" in card.data.tags
    assert card.data.eval_results[0].metric_type == "srcc"
    run = from_pretrained(place / "run").run
    for said in ("WARNING: RANDOM WEIGHTS", "The decoder never saw", run.feature_keys["nss"], "training 0"):
        assert said in card.text
    assert "| train   | 20       |" in card.text and run.versions["torch"] in card.text


def test_the_command_exports_and_training_needs_no_command_name(place: Path, tmp_path: Path) -> None:
    options = [f"--set={text}" for text in (*decoder_overrides(place), LORA)]
    exported = CliRunner().invoke(app, ["export", str(place / "run"), str(tmp_path / "out"), "--json"])
    assert json.loads(exported.stdout)["files"] == [
        "README.md",
        "SHA256SUMS",
        "adapter",
        "config.json",
        "model.safetensors",
    ]
    with pytest.raises(Problem, match="holds something already"):
        CliRunner().invoke(app, ["export", str(place / "run"), str(tmp_path / "out")], catch_exceptions=False)
    labels = "--set=datasets.demo.labels=./nowhere.csv"
    with pytest.raises(Problem, match=r"nowhere.csv"):
        CliRunner().invoke(app, ["tiny", *options, labels], catch_exceptions=False)


def test_a_store_with_other_features_of_the_encoder_is_refused(place: Path, tmp_path: Path) -> None:
    trained = from_pretrained(place / "model")
    store = FeatureStore(tmp_path)
    with store.feature_set("demo", "nss", {"made": "otherwise"}).writer() as writer:
        writer.add("v0", {"spatial": np.ones((1, 1, 6), np.float32)})
    with pytest.raises(RunError, match=r"(?s)made: for tests → otherwise.*extract them with"):
        run_reader(trained, store, trained.settings.dataset)


def refused(folder: Path | str, match: str, **options: str) -> None:
    with pytest.raises(RunError, match=match):
        from_pretrained(folder, **options)


def edited(folder: Path, *keys: str, value: object) -> None:
    document = json.loads((folder / "config.json").read_text())
    table = document
    for key in keys[:-1]:
        table = table[key]
    table[keys[-1]] = value
    (folder / "config.json").write_text(json.dumps(document))


def test_a_later_format_asks_for_an_update(copied: Path) -> None:
    edited(copied, "format", value=3)
    refused(copied, r"config.json has format 3.*update this program")


def test_another_models_folder_is_named_as_such(copied: Path) -> None:
    (copied / "config.json").write_text('{"model_type": "llama"}')
    refused(copied, "of type 'llama', not 'lmm-vqa'")


def test_another_decoder_is_refused_with_the_difference(copied: Path) -> None:
    edited(copied, "settings", "pipeline", "decoder", "weights", value="random:1")
    refused(copied, r"(?s)another decoder.*weights: random:0 → random:1")
    edited(copied, "settings", "pipeline", "decoder", "weights", value="random:0")
    edited(copied, "settings", "pipeline", "decoder", "architecture", "num_hidden_layers", value=3)
    refused(copied, r"(?s)another decoder.*architecture.num_hidden_layers: 1 → 3")


def test_another_tokenizer_is_refused(copied: Path, tmp_path: Path) -> None:
    build_tokenizer([*task_texts(quality_tasks()), "unheard words"]).save_pretrained(tmp_path / "other")
    edited(copied, "settings", "pipeline", "decoder", "tokenizer", value=str(tmp_path / "other"))
    refused(copied, r"(?s)another tokenizer.*tokenizer: sha256:\w+ → sha256:\w+")


def test_features_of_another_specification_are_refused_with_the_difference(place: Path) -> None:
    trained = from_pretrained(place / "model")
    trained.check_features({"nss": {"made": "for tests"}})
    with pytest.raises(RunError, match=r"(?s)other features of nss.*made: for tests → otherwise"):
        trained.check_features({"nss": {"made": "otherwise"}})


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "adapter/adapter_model.safetensors"])
def test_a_damaged_or_absent_file_is_named(copied: Path, file: str) -> None:
    data = (copied / file).read_bytes()
    (copied / file).write_bytes(data[: len(data) // 2])
    refused(copied, rf"{file} cannot be read")
    (copied / file).unlink()
    refused(copied, "config.json" if file == "config.json" else rf"{file} cannot be read")


def test_weights_of_another_shape_do_not_load(copied: Path) -> None:
    edited(copied, "settings", "pipeline", "branches", "spatial", "projector", "hidden", value=[8])
    refused(copied, r"model.safetensors does not fit the model's settings")


def test_an_adapter_and_the_settings_must_agree(copied: Path) -> None:
    shutil.move(copied / "adapter", copied / "elsewhere")
    refused(copied, "has no LoRA adapter, but the run's settings ask for a")
    shutil.move(copied / "elsewhere", copied / "adapter")
    edited(copied, "settings", "pipeline", "decoder", "lora", "targets", value=["q_proj"])
    refused(copied, "adapts other layers than the settings say, such as .*v_proj")


def test_a_place_that_is_no_model_is_explained(tmp_path: Path) -> None:
    refused(tmp_path, "has neither run.json nor config.json")
    refused(tmp_path / "none", "is not a folder, nor a hub id")


def test_a_hub_id_is_fetched_by_its_revision(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the hub's own cache, as it lies after a download: no network."""
    cache = copied.parent / "hub"
    repository = cache / "models--somebody--vqa"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "v1").write_text(commit)
    (repository / "snapshots").mkdir()
    shutil.copytree(copied, repository / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    trained = from_pretrained("somebody/vqa", revision="v1")
    assert trained.checkpoint.name == commit
    refused("somebody/other", "could not be fetched from the Hugging Face hub")


def test_a_decoder_that_lies_elsewhere_now_may_be_named(place: Path, tmp_path: Path) -> None:
    settings = run_settings(place).pipeline.decoder
    weights = ("old", "new", "changed")
    for name in weights:
        decoder = load_decoder(settings)
        if name == "changed":
            decoder.model.norm.weight[0] += 1e-3  # type: ignore[union-attr,operator,index]
        decoder.save_pretrained(tmp_path / name)
    train(place, "moved", f"pipelines.tiny.decoder.weights={tmp_path / 'old'}")
    expected = scores(place, from_pretrained(place / "moved"))
    shutil.rmtree(tmp_path / "old")
    with pytest.raises(Problem, match="could not be loaded"):
        from_pretrained(place / "moved")
    assert scores(place, from_pretrained(place / "moved", decoder=str(tmp_path / "new"))) == expected
    refused(place / "moved", r"another decoder.*\n  weights: sha256:", decoder=str(tmp_path / "changed"))


def test_damaged_training_state_is_named(place: Path, tmp_path: Path) -> None:
    run_copy = Path(shutil.copytree(place / "run", tmp_path / "run"))
    checkpoint = checkpoints(run_copy / "checkpoints")[-1]
    for name, read in (("state.pt", load_training_state), ("progress.json", read_progress)):
        file = checkpoint / "training" / name
        file.write_bytes(file.read_bytes()[:50])
        with pytest.raises(RunError, match=rf"{name} cannot be read"):
            read(checkpoint)
    (run_copy / "checkpoints" / "selected.json").write_text("{")
    with pytest.raises(RunError, match=r"selected.json cannot be read"):
        selected(run_copy / "checkpoints")


def test_a_checkpoint_resumes_what_it_saved(place: Path) -> None:
    last = checkpoints(place / "run" / "checkpoints")[-1]
    assert read_progress(last).step == 9
    assert {"optimizer", "schedule", "average"} == load_training_state(last).keys()
    model = from_pretrained(place / "run").model
    load_weights(last, model)
    assert train(place, "run", LORA).outcome.resumed_from_step == 9
