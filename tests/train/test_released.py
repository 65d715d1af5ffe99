"""LMM-VQA as released: our modules give the numbers of the authors' own, at tiny size."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from config.load import load_settings
from config.schema import ProjectorSettings
from train.answers.chat import Answer, Slot, Text
from train.model.packing import embed, lay_out
from train.model.projectors import Projector
from train.model.quality import QualityModel
from train.model.row import Row

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
CLIP_LAYER = ProjectorSettings(kind="clip-layer", heads=4, mlp_ratio=2.0, output_norm=True)
MOTION = ProjectorSettings(kind="mlp", output_norm=True)
END = 2
IMAGE = 55


def prompts_without_words() -> Any:
    """Stands for prompts: the authors' example has ids and no tokenizer."""
    words = {"poor": (101,), "fair": (102,), "good": (103,)}
    return SimpleNamespace(
        chat=SimpleNamespace(end_of_turn=END),
        answer_ids=lambda _, value: words[value] if value in words else (3, int(value)),
    )


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
        rows += row.add(pieces)[2]
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


def test_a_branch_can_be_appended_to_another_by_settings_alone(root: Path) -> None:
    changes = ["pipelines.tiny.temporal.append_to=spatial", "pipelines.tiny.temporal.first_chunks=8"]
    pipeline = load_settings(root / "pipelines.toml", changes).pipelines["tiny"]
    assert pipeline.branches["temporal"].append_to == "spatial"
    with pytest.raises(Exception, match="expected another branch, which is not appended itself"):
        load_settings(root / "pipelines.toml", ["pipelines.tiny.temporal.append_to=temporal"])
