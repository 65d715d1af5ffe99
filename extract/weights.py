"""Weights of the encoders: where a setting points to, seeded random ones, digests, and plain errors."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from config.schema import EncoderSettings
from extract.errors import EncoderError

_RANDOM = "random:"
_Model = TypeVar("_Model", bound=nn.Module)


def random_seed(settings: EncoderSettings) -> int | None:
    """The seed of `random:SEED` weights, or None for real ones. Raises EncoderError if none are named."""
    if not settings.weights:
        raise EncoderError(
            f"encoders.{settings.name}.weights is not set: expected random:SEED, a hub id or a path (./…)"
        )
    if not settings.weights.startswith(_RANDOM):
        return None
    seed = settings.weights.removeprefix(_RANDOM)
    if not seed.isdecimal():
        raise EncoderError(f"encoders.{settings.name}.weights is {settings.weights!r}: expected random:SEED")
    return int(seed)


def seeded(build: Callable[[], _Model], seed: int) -> _Model:
    """Build a model whose random weights depend on the seed alone; the caller's generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def local_path(settings: EncoderSettings) -> Path | None:
    """The file or folder that the weights are in, or None if the setting is a hub id. Raises EncoderError."""
    path = Path(str(settings.weights)).expanduser()
    if path.exists():
        return path
    if path.is_absolute():
        raise absent(settings, f"there is no {path}")
    return None


def read_checkpoint(path: Path, settings: EncoderSettings) -> dict[str, torch.Tensor]:
    """State dict of a torch checkpoint, `{"model_state": …}` or bare, on the CPU.

    Only tensors are unpickled (`weights_only`): a checkpoint cannot run code. Raises EncoderError.
    """
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises nearly anything on a file that is none of its own
        raise EncoderError(
            f"encoders.{settings.name}.weights: {path} is no torch checkpoint of plain tensors: {error}"
        ) from None
    state = loaded.get("model_state", loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise EncoderError(
            f"encoders.{settings.name}.weights: {path} holds no state dict; "
            'expected {"model_state": {name: tensor}} or {name: tensor}'
        )
    return state


def absent(settings: EncoderSettings, found: str) -> EncoderError:
    """The error for weights that are not there: what is missing, where to get it, where to put it."""
    source = settings.source or "the encoder's publisher"
    place = settings.weights if Path(str(settings.weights)).is_absolute() else "any folder"
    return EncoderError(
        f"encoders.{settings.name}: the weights {settings.weights!r} are missing: {found}\n"
        f"  where to get them: {source}\n"
        f"  where to put them: {place}; or --set encoders.{settings.name}.weights=PATH\n"
        f"  without them: --set encoders.{settings.name}.weights=random:0 runs the real architecture with "
        "random weights, and `make demo` needs none"
    )


def digest(model: nn.Module) -> str:
    """sha256 over the names and bytes of the state dict, in the order of the names."""
    total = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(flat.view(torch.uint8).numpy().data)
    return total.hexdigest()
