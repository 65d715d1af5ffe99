"""Projectors, head, trained embeddings in safetensors, and LoRA in peft's own format.

`peft.PeftModel.from_pretrained` reads the adapter's folder. A decoder that trains: train/saving/decoder.py.
"""

import copy
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from train.errors import RunError
from train.model.regression import VideoModel
from train.saving.digests import verified, write_digests
from train.saving.run import FORMAT, MODEL_TYPE

log = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"
ADAPTER = "adapter"
_ADAPTER_WEIGHTS = f"{ADAPTER}/adapter_model.safetensors"
# What peft's own wrapper puts before the names of the model that it wraps.
_PREFIX = "base_model.model."


def save_weights(folder: Path, model: VideoModel) -> None:
    """Write model.safetensors, an adapter's folder where there is one, and their digests."""
    metadata = {"format": "pt", "model_type": MODEL_TYPE, "version": str(FORMAT)}
    save_file(_on_cpu(trained_parts(model).state_dict()), folder / WEIGHTS, metadata)
    decoder: Any = getattr(model, "decoder", None)
    if has_adapter(decoder):
        config = copy.copy(decoder.peft_config["default"])
        config.inference_mode = True
        config.save_pretrained(str(folder / ADAPTER))
        save_file(_on_cpu(_adapter_state(decoder)), folder / _ADAPTER_WEIGHTS, {"format": "pt"})
    write_digests(folder, folder.rglob("*.safetensors"))


def load_weights(folder: Path, model: VideoModel) -> None:
    """Put saved weights into the model. Raises RunError where they are damaged or do not fit."""
    _fit(trained_parts(model), read_tensors(folder, WEIGHTS), folder / WEIGHTS)
    wanted = has_adapter(getattr(model, "decoder", None))
    if (folder / ADAPTER).is_dir() != wanted:
        found, asked = ("no", "a") if wanted else ("a", "no")
        raise RunError(f"{folder} has {found} LoRA adapter, but the run's settings ask for {asked}")
    if wanted:
        _load_adapter(model.decoder, folder)  # type: ignore[arg-type]


def load_common_weights(folder: Path, model: VideoModel) -> None:
    """Put the weights of what both have into the model; its further parts keep their own, which is logged.

    Raises RunError where nothing is in both, something has another shape, or a LoRA adapter would be lost.
    """
    found, parts = read_tensors(folder, WEIGHTS), trained_parts(model)
    own = parts.state_dict()
    common = found.keys() & own.keys()
    if not common:
        raise RunError(
            f"{folder / WEIGHTS}: holds {', '.join(_parts(found))}, none of which this pipeline has"
        )
    for part in _parts(own.keys() - common):
        log.warning("starting from %s: %s begins with its own weights", folder, part)
    for part in _parts(found.keys() - common):
        log.warning("starting from %s: %s is left out", folder, part)
    _fit(parts, {**own, **{name: found[name] for name in common}}, folder / WEIGHTS)
    decoder: Any = getattr(model, "decoder", None)
    adapted = (folder / ADAPTER).is_dir()
    if adapted and not has_adapter(decoder):
        raise RunError(
            f"{folder} has a LoRA adapter, which would be lost: give the pipeline's decoder the same `lora`"
            " settings"
        )
    if adapted:
        _load_adapter(decoder, folder)
    elif has_adapter(decoder):
        log.warning("starting from %s: the LoRA adapter begins with its own weights", folder)


def read_tensors(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """A safetensors file's tensors by name. Raises RunError where it is absent or damaged."""
    file = verified(folder, name)
    try:
        tensors: dict[str, torch.Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{file} cannot be read: {error}; copy or download it again") from error
    return tensors


def trained_parts(model: VideoModel) -> nn.ModuleDict:
    """All parts of the model but the decoder."""
    return nn.ModuleDict({name: part for name, part in model.named_children() if name != "decoder"})


def has_adapter(decoder: nn.Module | None) -> bool:
    """Whether low-rank adapters are in the decoder."""
    return hasattr(decoder, "peft_config")


def _adapter_state(decoder: nn.Module) -> dict[str, torch.Tensor]:
    from peft import get_peft_model_state_dict  # two seconds of start-up, for adapters alone

    state = get_peft_model_state_dict(decoder, save_embedding_layers=False)
    return {f"{_PREFIX}{name}": tensor for name, tensor in state.items()}


def _load_adapter(decoder: nn.Module, folder: Path) -> None:
    from peft import set_peft_model_state_dict

    file, tensors = folder / _ADAPTER_WEIGHTS, read_tensors(folder, _ADAPTER_WEIGHTS)
    if odd := sorted(_adapter_state(decoder).keys() ^ tensors.keys()):
        raise RunError(f"{file} adapts other layers than the settings say, such as {odd[0]}")
    try:
        set_peft_model_state_dict(decoder, tensors)
    except RuntimeError as error:
        raise RunError(f"{file} does not fit the settings: {error}") from error


def _fit(parts: nn.Module, tensors: dict[str, torch.Tensor], file: Path) -> None:
    try:
        parts.load_state_dict(tensors)
    except RuntimeError as error:
        raise RunError(f"{file} does not fit the model's settings: {error}") from error


def _on_cpu(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def _parts(names: Iterable[str]) -> list[str]:
    return sorted({".".join(name.split(".")[:2]) for name in names})
