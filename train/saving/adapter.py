"""LoRA adapters on disk, in peft's own format, which `peft.PeftModel.from_pretrained` reads."""

import copy
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from train.errors import RunError

_WEIGHTS = "adapter_model.safetensors"
# What peft's own wrapper puts before the names of the model that it wraps.
_PREFIX = "base_model.model."


def has_adapter(decoder: nn.Module) -> bool:
    """Whether low-rank adapters are in the decoder."""
    return hasattr(decoder, "peft_config")


def save_adapter(decoder: nn.Module, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors into a new folder."""
    folder.mkdir()
    adapters: Any = decoder.peft_config
    config = copy.copy(adapters["default"])
    config.inference_mode = True
    config.save_pretrained(str(folder))
    state = get_peft_model_state_dict(decoder, save_embedding_layers=False)
    tensors = {f"{_PREFIX}{name}": tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})


def load_adapter(decoder: nn.Module, folder: Path) -> None:
    """Put saved adapters into those that the decoder has. Raises RunError where they do not fit."""
    tensors = read_tensors(folder / _WEIGHTS)
    wanted = {f"{_PREFIX}{name}" for name in get_peft_model_state_dict(decoder, save_embedding_layers=False)}
    if wanted != tensors.keys():
        odd = sorted(wanted ^ tensors.keys())
        raise RunError(f"{folder / _WEIGHTS} adapts other layers than the settings say, such as {odd[0]}")
    try:
        set_peft_model_state_dict(decoder, tensors)
    except RuntimeError as error:
        raise RunError(f"{folder / _WEIGHTS} does not fit the settings: {error}") from error


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """A safetensors file's tensors by name. Raises RunError where it is absent or damaged."""
    try:
        tensors: dict[str, torch.Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{file} cannot be read: {error}; copy or download it again") from error
    return tensors
