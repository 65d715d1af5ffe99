"""VQA²'s published checkpoints, taken apart into what the parts' usual loaders read.

CHECKPOINT (model_type `llava_qwen`)              FOLDER
    config.json, tokenizer's files                    decoder/            Qwen2, as transformers reads it
    model*.safetensors                                siglip/             SigLIP's vision model, likewise
        model.embed_tokens, model.layers, …           slowfast.pyth       SlowFast without its head
        model.vision_tower.vision_tower.…             model.safetensors   projectors, positions, end token
        model.slowfast.feature_extraction.…           SHA256SUMS
        model.mm_projector.…, …                       origin.json         what it was made of

A checkpoint whose SigLIP or SlowFast did not train has none, and the originals are its encoders. Names are
those of the released code (`llava_arch.py`, `slowfast/builder.py`; Apache-2.0).
"""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import Qwen2Config, SiglipVisionConfig

from config.errors import refusing
from store.durable.commit import publish_folder, remove
from train.errors import RunError
from train.saving.decoder import DECODER
from train.saving.digests import write_digests
from train.saving.folder import TEMPORARY, writing
from train.saving.weights import WEIGHTS

ORIGIN = "origin.json"
SIGLIP, SLOWFAST = "siglip", "slowfast.pyth"
_TYPE = "llava_qwen"
_TOWER, _STAGES = "model.vision_tower.vision_tower.", "model.slowfast.feature_extraction."
_OF_DECODER = ("model.embed_tokens.", "model.layers.", "model.norm.", "lm_head.")
_TOKENIZER = (
    "tokenizer*",
    "*.jinja",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
)
_HEAD_WIDTH = 72
"""Of SigLIP so400m's attention heads."""
# Behind a linear layer and GELU, our perceptron has a dropout.
_KEY_FRAMES, _MOTION = "projectors.key_frames", "projectors.motion"
_PROJECTORS = {
    f"model.{theirs}.{layer}.{kind}": f"{ours}.project.layers.{own}.{kind}"
    for theirs, ours in (("mm_projector", _KEY_FRAMES), ("slowfast_projector", _MOTION))
    for layer, own in ((0, 0), (2, 3))
    for kind in ("weight", "bias")
} | {
    "model.image_newline": f"{_KEY_FRAMES}.end",
    "model.slowfast.position_embedding.weight": f"{_MOTION}.positions.table",
}


def unpack(checkpoint: Path, folder: Path) -> list[str]:
    """Take a checkpoint apart into a new folder; returns the names of what it holds.

    Of the checkpoint's files one is in memory at a time. Raises RunError where it is of another layout, lacks
    a part or holds something unknown, where the folder holds something, or the disk refuses.
    """
    with refusing(RunError, f"{checkpoint / 'config.json'} cannot be read as a checkpoint's"):
        config: dict[str, Any] = json.loads((checkpoint / "config.json").read_text("utf-8"))
    if config.get("model_type") != _TYPE:
        raise RunError(
            f"{checkpoint} is of model_type {config.get('model_type')!r}; VQA²'s checkpoints are of {_TYPE!r}"
        )
    shapes = _shapes(checkpoint)
    _check_names(checkpoint, shapes, config)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} holds something already: name a new folder, or an empty one")
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f".{TEMPORARY}{folder.name}")
        remove(temporary)
        (temporary / DECODER).mkdir(parents=True)
        further = _write_decoder(checkpoint, temporary / DECODER, config)
        _write_encoders(temporary, further)
        trained = {own: further[theirs].float() for theirs, own in _PROJECTORS.items()}
        scales = {f"{name}.scale": torch.tensor(1.0) for name in (_KEY_FRAMES, _MOTION)}
        save_file({**trained, **scales}, temporary / WEIGHTS, {"format": "pt"})
        (temporary / ORIGIN).write_text(json.dumps({"name": checkpoint.resolve().name, "model_type": _TYPE}))
        write_digests(temporary, temporary.rglob("*.safetensors"))
        found = sorted(path.name for path in temporary.iterdir())
        publish_folder(temporary, folder)
    return found


def _files(checkpoint: Path) -> list[Path]:
    files = sorted(checkpoint.glob("model*.safetensors"))
    if not files:
        raise RunError(f"{checkpoint} has no weights as model*.safetensors (other files are not read)")
    return files


def _shapes(checkpoint: Path) -> dict[str, tuple[int, ...]]:
    """Name → shape of every tensor, from the files' headers."""
    found: dict[str, tuple[int, ...]] = {}
    for file in _files(checkpoint):
        try:
            with safe_open(file, "pt") as opened:
                names: list[str] = list(opened.keys())
                found |= {name: tuple(opened.get_slice(name).get_shape()) for name in names}
        except (OSError, SafetensorError) as error:
            raise RunError(f"{file} cannot be read: {error}; copy or download it again") from error
    return found


def _check_names(checkpoint: Path, shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]) -> None:
    known = (*_OF_DECODER, _TOWER, _STAGES)
    if unknown := sorted(name for name in shapes if name not in _PROJECTORS and not name.startswith(known)):
        raise RunError(f"{checkpoint} holds {len(unknown)} tensors that are not known, such as {unknown[0]}")
    lacking = sorted(set(_PROJECTORS) - shapes.keys())
    if "model.embed_tokens.weight" not in shapes:
        lacking.append("model.embed_tokens.weight")
    if lacking:
        raise RunError(f"{checkpoint} lacks {len(lacking)} tensors, such as {lacking[0]}")
    rows, vocabulary = shapes["model.embed_tokens.weight"][0], config.get("vocab_size")
    if rows != vocabulary:
        raise RunError(f"{checkpoint} embeds {rows:,} tokens, but its vocab_size is {vocabulary}")


def _write_decoder(checkpoint: Path, target: Path, config: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The language model; returns all other tensors."""
    further: dict[str, torch.Tensor] = {}
    places: dict[str, str] = {}
    size = 0
    for file in _files(checkpoint):
        held: dict[str, torch.Tensor] = {}
        with safe_open(file, "pt") as opened:
            names: list[str] = list(opened.keys())
            for name in names:
                own = held if name.startswith(_OF_DECODER) else further
                own[name] = opened.get_tensor(name)
        if held:
            save_file(held, target / file.name, {"format": "pt"})
            places |= dict.fromkeys(held, file.name)
            size += sum(tensor.nbytes for tensor in held.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    if set(places.values()) != {WEIGHTS}:
        (target / f"{WEIGHTS}.index.json").write_text(json.dumps(index, indent=2))
    own_keys = Qwen2Config().to_dict().keys() - {"model_type", "architectures", "transformers_version"}
    own_keys |= {"rope_theta", "rope_scaling"}  # what transformers 4 called rope_parameters
    qwen = Qwen2Config(**{name: value for name, value in config.items() if name in own_keys})
    qwen.architectures = ["Qwen2ForCausalLM"]
    qwen.save_pretrained(target)
    for pattern in _TOKENIZER:
        for file in checkpoint.glob(pattern):
            shutil.copy(file, target)
    return further


def _write_encoders(folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    stages = {
        f"blocks.{name.removeprefix(_STAGES)}": t for name, t in tensors.items() if name.startswith(_STAGES)
    }
    if stages:
        state = {name: t.float() if t.is_floating_point() else t for name, t in stages.items()}
        torch.save({"model_state": state}, folder / SLOWFAST)
    tower = {name.removeprefix(_TOWER): t for name, t in tensors.items() if name.startswith(_TOWER)}
    if tower:
        (folder / SIGLIP).mkdir()
        save_file(tower, folder / SIGLIP / WEIGHTS, {"format": "pt"})
        _siglip_config({name: tuple(t.shape) for name, t in tower.items()}).save_pretrained(folder / SIGLIP)


def _siglip_config(shapes: Mapping[str, tuple[int, ...]]) -> SiglipVisionConfig:
    """As the tensors are: the released code drops layers that it does not run."""
    width, _, patch, _ = shapes["vision_model.embeddings.patch_embedding.weight"]
    side = math.isqrt(shapes["vision_model.embeddings.position_embedding.weight"][0])
    layers = "vision_model.encoder.layers."
    config = SiglipVisionConfig(
        hidden_size=width,
        intermediate_size=shapes[f"{layers}0.mlp.fc1.weight"][0],
        num_hidden_layers=1 + max(int(n.split(".")[3]) for n in shapes if n.startswith(layers)),
        num_attention_heads=width // _HEAD_WIDTH,
        # A picture of 384 pixels has 27 patches of 14; what is left is not seen.
        image_size=384 if (side, patch) == (27, 14) else side * patch,
        patch_size=patch,
        vision_use_head=any(name.startswith("vision_model.head.") for name in shapes),
    )
    config.architectures = ["SiglipVisionModel"]
    return config
