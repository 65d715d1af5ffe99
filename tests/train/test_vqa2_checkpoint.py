"""A checkpoint in the layout of VQA²'s published ones becomes what our modules and the usual loaders read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_language import WIDTH, quality_tasks, task_texts
from tiny_slowfast import motion_settings, trained_slowfast
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from config.load import load_settings
from config.schema import EncoderSettings, ProjectorSettings, RunSettings
from extract.encoders.registry import build_encoder
from store.features import FeatureStore
from store.labels.files import Label
from train.data.samples import Split
from train.errors import RunError
from train.job import train_run
from train.model.projectors import Projector
from train.pretrained import from_pretrained
from train.saving.vqa2 import unpack

POSITIONS, KEYS, PATCHES, TOWER = 30, 144, 9, 144


TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def qwen_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level as Qwen's: as such it is read beside a decoder of Qwen's."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=special[2], pad_token=special[0], chat_template=TEMPLATE
    )


def perceptron(inputs: int, width: int) -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Linear(inputs, width), torch.nn.GELU(), torch.nn.Linear(width, width))


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    """The modules that the authors' model has, tiny."""
    torch.manual_seed(0)
    tokenizer = qwen_tokenizer(task_texts(quality_tasks()))
    qwen = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, initializer_range=0.2, tie_word_embeddings=False,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        )
    )  # fmt: skip
    vision = SiglipVisionConfig(
        hidden_size=TOWER, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=42,
        patch_size=14, vision_use_head=False,
    )  # fmt: skip
    return {
        "tokenizer": tokenizer,
        "qwen": qwen.eval(),
        "tower": SiglipVisionModel(vision).eval(),
        "slowfast": trained_slowfast(**motion_settings().architecture),
        "mm_projector": perceptron(KEYS, WIDTH),
        "slowfast_projector": perceptron(32, WIDTH),
        "positions": torch.nn.Embedding(POSITIONS, 32),
        "newline": torch.randn(WIDTH),
    }


def tensors_of(parts: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Under the names of the released code."""
    found = dict(parts["qwen"].state_dict())
    for name in ("mm_projector", "slowfast_projector"):
        found |= {f"model.{name}.{own}": tensor for own, tensor in parts[name].state_dict().items()}
    tower = "model.vision_tower.vision_tower.vision_model."  # as transformers 4 names it
    found |= {f"{tower}{name}": tensor for name, tensor in parts["tower"].state_dict().items()}
    found |= {
        f"model.slowfast.feature_extraction.{name.removeprefix('blocks.')}": tensor
        for name, tensor in parts["slowfast"].state_dict().items()
        if name.split(".")[1] not in ("5", "6")
    }
    found["model.slowfast.position_embedding.weight"] = parts["positions"].weight.detach()
    found["model.image_newline"] = parts["newline"]
    return {name: tensor.clone() for name, tensor in found.items()}


def write(folder: Path, parts: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Path:
    """As transformers 4 writes it, in two files; its configuration has Qwen2's keys beside LLaVA's."""
    folder.mkdir()
    names = sorted(tensors)
    for number, own in enumerate((names[::2], names[1::2]), 1):
        save_file({name: tensors[name] for name in own}, folder / f"model-0000{number}-of-00002.safetensors")
    config = parts["qwen"].config.to_dict()
    config.pop("rope_parameters")
    further = {"rope_theta": 1e6, "mm_projector_type": "mlp2x_gelu", "mm_newline_position": "one_token"}
    config |= {"model_type": "llava_qwen", "architectures": ["LlavaQwenForCausalLM"], **further}
    (folder / "config.json").write_text(json.dumps(config))
    parts["tokenizer"].save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def unpacked(parts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vqa2")
    checkpoint = write(folder / "VQA-UGC-Scorer", parts, tensors_of(parts))
    found = unpack(checkpoint, folder / "unpacked")
    assert found == ["SHA256SUMS", "decoder", "model.safetensors", "origin.json", "siglip", "slowfast.pyth"]
    return folder / "unpacked"


def test_the_language_model_is_the_same(unpacked: Path, parts: dict[str, Any]) -> None:
    decoder = AutoModelForCausalLM.from_pretrained(unpacked / "decoder").eval()
    assert isinstance(decoder, Qwen2ForCausalLM)
    assert decoder.config.rope_parameters["rope_theta"] == 1e6
    ids = torch.arange(12)[None]
    with torch.no_grad():
        assert torch.equal(decoder(ids).logits, parts["qwen"](ids).logits)


def test_the_encoders_are_the_same(unpacked: Path, parts: dict[str, Any]) -> None:
    siglip = build_encoder(
        EncoderSettings(name="s", kind="siglip", weights=str(unpacked / "siglip"), layer=2, dtype="float32")
    )
    pixels = torch.randn(2, 3, 42, 42)
    with torch.no_grad():
        expected = parts["tower"](pixels, output_hidden_states=True).hidden_states[-1]
        found = siglip.forward(pixels[:, None])["tokens"][:, 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    motion = build_encoder(motion_settings(weights=str(unpacked / "slowfast.pyth")))
    clip = torch.randn(1, 8, 3, 32, 32)
    with torch.no_grad():
        pathways = [clip.transpose(1, 2)[:, :, ::4], clip.transpose(1, 2)]
        for block in parts["slowfast"].blocks[:5]:
            pathways = block(pathways)
        expected = pathways[1].mean(dim=(3, 4)).transpose(1, 2)
        torch.testing.assert_close(motion.forward(clip)["motion"], expected, atol=1e-5, rtol=1e-5)


def test_the_projectors_are_the_same(unpacked: Path, parts: dict[str, Any]) -> None:
    from safetensors.torch import load_file

    tensors = load_file(unpacked / "model.safetensors")
    key = Projector(ProjectorSettings(kind="mlp", hidden=(WIDTH,), end_token=True), 9, KEYS, WIDTH, 1.0)
    motion = Projector(ProjectorSettings(kind="mlp", hidden=(WIDTH,), positions=POSITIONS), 1, 32, WIDTH, 1.0)
    for name, projector in (("key_frames", key), ("motion", motion)):
        prefix = f"projectors.{name}."
        own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        projector.load_state_dict(own)
    patches, frames = torch.randn(2, 9, KEYS), torch.randn(20, 1, 32)
    torch.testing.assert_close(key(patches), parts["mm_projector"](patches))
    assert torch.equal(key.end, parts["newline"])  # type: ignore[arg-type]
    expected = parts["slowfast_projector"](frames + parts["positions"].weight[:20, None])
    torch.testing.assert_close(motion(frames, [torch.arange(20)]), expected)


def released_settings(root: Path, unpacked: Path, *overrides: str) -> RunSettings:
    """The pipeline of the released scorer at the tiny size."""
    name = "pipelines.vqa2-scorer-ugc-released"
    small = (
        f"{name}.decoder.weights={unpacked / 'decoder'}",
        f"{name}.decoder.dtype=float32",
        f'{name}.tasks=["level"]',
        f"{name}.branches.key_frames.projector.hidden=[{WIDTH}]",
        f"{name}.branches.key_frames.projector.resample=[2, 2]",
        f"{name}.branches.motion.projector.hidden=[{WIDTH}]",
        f"{name}.branches.motion.projector.positions={POSITIONS}",
    )
    settings = load_settings(root / "pipelines.toml", [*small, *overrides])
    return settings.run(settings.pipelines["vqa2-scorer-ugc-released"], settings.datasets["demo"])


def stored(folder: Path) -> tuple[FeatureStore, Split]:
    store, generator = FeatureStore(folder / "features"), torch.Generator().manual_seed(0)
    key, motion = {"chunk_seconds": "1"}, {"frames": {"count": 0, "rule": "all"}}
    labels = [Label(f"v{number}", 10.0 * number) for number in range(8)]
    with (
        store.feature_set("demo", "siglip-so400m-patches", key).writer() as siglip,
        store.feature_set("demo", "slowfast-motion-released", motion).writer() as slowfast,
    ):
        for label in labels:
            tokens = torch.randn(2, PATCHES, KEYS, generator=generator).numpy()
            siglip.add(label.video, {"tokens": tokens}, {"fps": 4.0})
            frames = torch.randn(8, 32, generator=generator).numpy()
            slowfast.add(label.video, {"motion": frames}, {"fps": 4.0})
    return store, {"train": labels[:5], "val": labels[5:], "test": []}


def test_a_run_of_no_epochs_is_the_checkpoint_itself_and_one_of_some_goes_on(
    root: Path, unpacked: Path, parts: dict[str, Any], tmp_path: Path
) -> None:
    store, split = stored(tmp_path)
    untrained = released_settings(root, unpacked, "pipelines.vqa2-scorer-ugc-released.training.epochs=0")
    with pytest.raises(RunError, match="epochs = 0 is for a run that is what it starts from"):
        train_run(untrained, store, {"demo": split}, tmp_path / "run", quiet=True)
    trained = train_run(untrained, store, {"demo": split}, tmp_path / "run", quiet=True, start=unpacked)
    assert trained.outcome.steps == 0
    model = from_pretrained(tmp_path / "run", device="cpu")
    assert model.run.start is not None and model.run.start.pipeline == "VQA-UGC-Scorer"
    projector = model.model.projectors["motion"]
    assert torch.equal(projector.positions.table, parts["positions"].weight)  # type: ignore[union-attr, arg-type]
    assert torch.equal(projector.project.layers[3].weight, parts["slowfast_projector"][2].weight)  # type: ignore[union-attr, index]
    changed = released_settings(
        root, unpacked, "pipelines.vqa2-scorer-ugc-released.training.learning_rate=1e-2"
    )
    going_on = train_run(changed, store, {"demo": split}, tmp_path / "more", quiet=True, start=unpacked)
    assert going_on.outcome.steps == 1
    again = from_pretrained(tmp_path / "more", device="cpu").model.projectors["motion"]
    assert not torch.equal(again.positions.table, parts["positions"].weight)  # type: ignore[union-attr, arg-type]


def test_another_decoder_than_the_checkpoints_is_refused(root: Path, unpacked: Path, tmp_path: Path) -> None:
    store, split = stored(tmp_path)
    other = Qwen2ForCausalLM.from_pretrained(unpacked / "decoder")
    torch.nn.init.zeros_(other.lm_head.weight)
    other.save_pretrained(tmp_path / "other")
    for file in (unpacked / "decoder").glob("*token*"):
        (tmp_path / "other" / file.name).write_bytes(file.read_bytes())
    weights = f"pipelines.vqa2-scorer-ugc-released.decoder.weights={tmp_path / 'other'}"
    settings = released_settings(root, unpacked, weights)
    with pytest.raises(RunError, match="was trained with another decoder"):
        train_run(settings, store, {"demo": split}, tmp_path / "run", quiet=True, start=unpacked)


def test_what_is_not_such_a_checkpoint_is_refused(parts: dict[str, Any], tmp_path: Path) -> None:
    tensors = tensors_of(parts)
    unknown = write(tmp_path / "unknown", parts, {**tensors, "model.resampler.weight": torch.zeros(1)})
    with pytest.raises(RunError, match=r"1 tensors that are not known, such as model\.resampler\.weight"):
        unpack(unknown, tmp_path / "a")
    lacking = {name: tensor for name, tensor in tensors.items() if "slowfast_projector" not in name}
    with pytest.raises(RunError, match=r"lacks 4 tensors, such as model\.slowfast_projector\.0\.bias"):
        unpack(write(tmp_path / "lacking", parts, lacking), tmp_path / "b")
    whole = write(tmp_path / "whole", parts, tensors)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(RunError, match="holds something already"):
        unpack(whole, tmp_path / "full")
    (whole / "model-00002-of-00002.safetensors").write_bytes(b"cut")
    with pytest.raises(RunError, match="cannot be read"):
        unpack(whole, tmp_path / "c")
    (whole / "config.json").write_text('{"model_type": "qwen2"}')
    with pytest.raises(RunError, match="is of model_type 'qwen2'"):
        unpack(whole, tmp_path / "d")
    with pytest.raises(RunError, match="cannot be read as a checkpoint's"):
        unpack(tmp_path, tmp_path / "e")
