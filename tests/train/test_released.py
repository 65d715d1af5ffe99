"""LMM-VQA as released: our modules give the numbers of the authors' own, at tiny size."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from random_models import SHAPES
from safetensors.torch import load_file
from tiny_language import small_model
from training_set import make_features, run_settings, train
from transformers import LlamaConfig, LlamaForCausalLM

from config.load import load_settings
from config.schema import ProjectorSettings
from store.features import FeatureStore
from train.answers.chat import Answer, Slot, Text
from train.data.branches import branch_tokens, token_shape
from train.data.reader import FeatureReader
from train.draws import draws_of_samples
from train.errors import TrainError
from train.job import train_run
from train.model.build import build_model
from train.model.packing import embed, lay_out
from train.model.projectors import Projector
from train.model.quality import QualityModel, embedding_table
from train.model.row import Row
from train.pretrained import from_pretrained

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
CLIP_LAYER = ProjectorSettings(kind="clip-layer", heads=4, mlp_ratio=2.0, output_norm=True)
MOTION = ProjectorSettings(kind="mlp", output_norm=True)
END = 2
IMAGE = 55


def prompts_without_words() -> Any:
    """Stands for prompts: the authors' example has ids and no tokenizer."""
    return SimpleNamespace(chat=SimpleNamespace(end_of_turn=END), tasks={}, spaces=dict)


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    found = shared_data / "reference" / "lmm-vqa-released"
    if not found.is_dir():
        pytest.skip("the authors' numbers (../shared/data/reference) are not on this machine")
    return found


def weights_of(reference: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Of a projector, under our names."""
    renamed = {"vis_layer.": "project.layer.", "projection.0.": "project.linear.", "projection.1.": "norm."}
    found = {}
    for name, tensor in reference.items():
        if name.startswith(prefix):
            own = name.removeprefix(prefix)
            for theirs, ours in renamed.items():
                own = ours + own.removeprefix(theirs) if own.startswith(theirs) else own
            found[own] = tensor
    return found


def test_the_projector_of_a_clip_layer_is_the_authors(folder: Path) -> None:
    reference = load_file(folder / "A1_projector_vit.safetensors")
    projector = Projector(CLIP_LAYER, 18, 32, 48, 1.0).eval()
    projector.load_state_dict({"scale": torch.tensor(1.0), **weights_of(reference, "w.")})
    torch.testing.assert_close(projector(reference["input"]), reference["output"], **CLOSE)


@pytest.fixture
def reference(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "A2_fusion_end_to_end.safetensors")


@pytest.fixture
def model(reference: dict[str, torch.Tensor]) -> QualityModel:
    config = LlamaConfig(
        vocab_size=60, hidden_size=128, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 1e4},
    )  # fmt: skip
    decoder = LlamaForCausalLM(config).eval().requires_grad_(False)
    prefix = "w.lang_decoder."
    decoder.load_state_dict({n.removeprefix(prefix): t for n, t in reference.items() if n.startswith(prefix)})
    projectors = {
        "spatial": Projector(CLIP_LAYER, 18, 32, 128, 1.0),
        "temporal": Projector(MOTION, 1, 2304, 32, 1.0),
    }
    projectors["spatial"].load_state_dict(
        {"scale": torch.tensor(1.0), **weights_of(reference, "w.projection.")}
    )
    linear = {"0.": "project.layers.0.", "1.": "norm."}
    projectors["temporal"].load_state_dict(
        {"scale": torch.tensor(1.0)}
        | {
            linear[name[len("w.motion_proj.") :][:2]] + name.rpartition(".")[2]: tensor
            for name, tensor in reference.items()
            if name.startswith("w.motion_proj.")
        }
    )
    model = QualityModel(
        decoder,
        prompts_without_words(),
        projectors,
        attention="mmca",
        appended={"temporal": "spatial"},
        averaged=["spatial"],
        train_embeddings=True,
    )
    assert model.embeddings is not None
    model.embeddings.weight.data.copy_(reference["w.lang_embed.weight"])
    return model.eval()


def features(reference: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """What the store gives: the frames' tokens averaged over time, and a motion vector for each second."""
    return [
        {"spatial": image.mean(dim=0, keepdim=True), "temporal": motion[:, None]}
        for image, motion in zip(reference["fwd.img"], reference["fwd.motion"], strict=True)
    ]


def test_tokens_loss_and_gradients_are_the_authors(
    model: QualityModel, reference: dict[str, torch.Tensor]
) -> None:
    visual = model.visual_tokens(features(reference))
    torch.testing.assert_close(torch.stack(visual), reference["fwd.projected"], **CLOSE)
    row, answers, rows = Row(visual), [], []
    for number, (ids, labels) in enumerate(zip(reference["fwd.lang"], reference["fwd.labels"], strict=True)):
        shown = reference["fwd.attention_mask"][number] == 1
        text, wanted = ids[shown].tolist(), labels[shown].tolist()
        at, start = text.index(IMAGE), next(n for n, label in enumerate(wanted) if label != -100)
        answer = tuple(text[start:-1])
        assert wanted[start:] == [*answer, END]
        pieces = [
            Text(tuple(text[:at])),
            Slot(number),
            Text(tuple(text[at + 1 : start])),
            Answer(answer, None),
        ]
        rows += row.add(pieces)
        answers += [*answer, END]
    layout = lay_out(row.contexts, torch.device("cpu"))
    places = torch.tensor([layout.segments[context].start + token for context, token in rows])
    logits = model.packed.logits(model.decoder, embed(row.contexts, model.table), layout, places)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(answers))
    torch.testing.assert_close(loss[None], reference["fwd.loss"], **CLOSE)
    loss.backward()
    assert model.embeddings is not None and model.embeddings.weight.grad is not None
    for name, gradient in {
        "motion_proj.0.bias": model.projectors["temporal"].project.layers[0].bias.grad,
        "projection.projection.0.bias": model.projectors["spatial"].project.linear.bias.grad,
        "lang_embed.rows_norm": model.embeddings.weight.grad.norm(dim=1),
    }.items():
        torch.testing.assert_close(gradient, reference[f"fwd.grad.{name}"], **CLOSE)
    assert set(model.trainable_parameters()) == {"spatial", "temporal", "embeddings"}


@pytest.mark.slow
def test_the_released_pipeline_has_258_tokens_a_video_at_full_size(root: Path, shared_data: Path) -> None:
    decoder = "pipelines.lmm-vqa-released.decoder"
    tokenizer = shared_data / "tokenizers" / "llama3"
    if not tokenizer.is_dir():
        pytest.skip("Llama-3's tokenizer (../shared/data/tokenizers/llama3) is not on this machine")
    settings = load_settings(
        root / "pipelines.toml", [f"{decoder}.weights=random:0", f"{decoder}.tokenizer={tokenizer}"]
    )
    pipeline = settings.pipelines["lmm-vqa-released"]
    stored = {"spatial": (257, 1024), "temporal": (2304,)}
    shapes = {name: token_shape(stored[name], branch) for name, branch in pipeline.branches.items()}
    with torch.device("meta"):
        model = build_model(pipeline, {name: settings.tasks[name] for name in pipeline.tasks}, shapes)
        video = {
            name: branch_tokens(torch.empty(10, *stored[name]), branch)
            for name, branch in pipeline.branches.items()
        }
        (tokens,) = model.visual_tokens([video])
    assert tokens.shape == (258, 4096)
    assert model.trainable_parameters() == {
        "spatial": 16_794_624 + 2 * 4096,
        "temporal": 2304 * 1024 + 1024 + 2 * 1024,
        "embeddings": 128_256 * 4096,
    }


@pytest.mark.parametrize("kind", ["mlp", "vit"])
@pytest.mark.parametrize("averaged", [True, False])
def test_what_an_appended_branch_draws_is_its_own_videos(kind: Any, averaged: bool) -> None:
    noisy = ProjectorSettings(kind=kind, heads=2, noise=0.3, dropout=0.4, standardise=True)
    own = ProjectorSettings(kind="mlp", output_norm=True)
    torch.manual_seed(0)
    projectors = {"spatial": Projector(own, 3, 6, 32, 1.0), "temporal": Projector(noisy, 1, 4, 6, 1.0)}
    model = small_model(SHAPES)
    model.projectors = torch.nn.ModuleDict(projectors)
    model.appended, model.averaged = {"temporal": "spatial"}, frozenset(["spatial"] if averaged else [])
    model.train()
    videos = [
        {"spatial": torch.randn(1 if averaged else k, 2, 6), "temporal": torch.randn(k, 1, 4)}
        for k in (2, 3, 1)
    ]
    draws = [(2, 11), (3, 12), (1, 13)]
    with draws_of_samples({projectors["temporal"]: draws}):
        together = model.visual_tokens(videos)
    for video, draw, tokens in zip(videos, draws, together, strict=True):
        with draws_of_samples({projectors["temporal"]: [draw]}):
            torch.testing.assert_close(model.visual_tokens([video])[0], tokens)
    assert not torch.equal(model.visual_tokens(videos[:1])[0], together[0])


def test_appended_chunks_that_do_not_match_are_refused_by_name(tmp_path: Path) -> None:
    store, split = make_features(tmp_path)
    with store.feature_set("demo", "other", {"made": "for tests"}).writer() as writer:
        for label in (label for labels in split.values() for label in labels):
            writer.add(label.video, {"temporal": np.zeros((7, 1, 3), np.float32)})
    changes = (
        "pipelines.tiny.branches.spatial.over_time=keep",
        "pipelines.tiny.branches.temporal.over_time=keep",
        "pipelines.tiny.branches.temporal.encoder=other",
        "pipelines.tiny.branches.temporal.append_to=spatial",
        "pipelines.tiny.branches.spatial.projector={ kind = 'mlp' }",
        "encoders.other={ kind = 'external', dtype = 'float32' }",
    )
    with pytest.raises(TrainError, match=r"v\d+ has 7 chunks of temporal, but \d of spatial"):
        train_run(run_settings(tmp_path, *changes), store, {"demo": split}, tmp_path / "run", quiet=True)
    with pytest.raises(TrainError, match=r"spatial\.projector\.standardise"):
        train(tmp_path, "other", "pipelines.tiny.branches.temporal.append_to=spatial")


@pytest.mark.slow
def test_an_answer_may_be_a_score_alone_with_trained_embeddings(tmp_path: Path) -> None:
    run = ("tasks.score.answer={value}", "pipelines.tiny.training.groups.embeddings={}")
    assert train(tmp_path, "run", *run).outcome.best_srcc is not None


RELEASED = (
    "pipelines.tiny.branches.spatial.first_chunks=3",
    "pipelines.tiny.branches.spatial.projector={ kind = 'clip-layer', heads = 2, output_norm = true }",
    "pipelines.tiny.branches.temporal.first_chunks=3",
    "pipelines.tiny.branches.temporal.over_time=keep",
    "pipelines.tiny.branches.temporal.append_to=spatial",
    "pipelines.tiny.branches.temporal.projector={ kind = 'mlp', output_norm = true }",
    "pipelines.tiny.decoder.attention=mmca",
    "pipelines.tiny.decoder.rope_theta=10000.0",
    "pipelines.tiny.training.groups.embeddings={}",
    "pipelines.tiny.training.loss=tokens",
    "pipelines.tiny.training.betas=[0.9, 0.95]",
)


def test_a_run_in_the_released_way_trains_stops_goes_on_and_predicts(tmp_path: Path) -> None:
    trained = train(tmp_path, "run", *RELEASED)
    assert set(trained.trainable) == {"spatial", "temporal", "embeddings"}
    assert trained.outcome.steps == 9 and trained.outcome.final_loss < 20
    again = train(tmp_path, "run", *RELEASED)
    assert again.outcome.resumed_from_step == 9
    model = from_pretrained(tmp_path / "run")
    reader = FeatureReader(
        FeatureStore(tmp_path / "features"), model.settings.dataset, model.settings.pipeline.branches
    )
    features = [reader.read(video) for video in ("v0", "v1", "v2")]
    assert {tuple(video["temporal"].shape) for video in features} == {(3, 1, 3)}
    assert {tuple(video["spatial"].shape) for video in features} == {(1, 1, 6)}
    assert isinstance(model.model, QualityModel)
    assert [len(tokens) for tokens in model.model.visual_tokens(features)] == [2, 2, 2]
    together = model.predict(features)
    assert together == [model.predict([video])[0] for video in features]
    table, own = model.model.embeddings, embedding_table(model.model.decoder)
    assert table is not None and not torch.equal(table.weight, own.weight)


def test_a_branch_is_appended_to_another_that_is_there(root: Path) -> None:
    with pytest.raises(Exception, match="expected another branch, which is not appended itself"):
        load_settings(root / "pipelines.toml", ["pipelines.tiny.branches.temporal.append_to=temporal"])
