"""Weights of the encoders: where a setting points to, seeded random ones, digests, and plain errors."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import torch
from torch import nn

from config.schema import EncoderSettings
from config.schema.entry import RANDOM
from extract.errors import EncoderError

_URL = ("https://", "http://")
_Model = TypeVar("_Model", bound=nn.Module)


def random_weights(settings: EncoderSettings, build: Callable[[], _Model]) -> _Model | None:
    """The model with weights that depend on the seed of `random:SEED` alone, or None for real ones.

    The caller's generator stays as it was. Raises EncoderError if no weights are named.
    """
    if not settings.weights:
        raise EncoderError(
            f"encoders.{settings.name}.weights is not set: expected random:SEED, a hub id, a path (./…) or, "
            "for SlowFast, a URL"
        )
    if not settings.weights.startswith(RANDOM):
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(settings.weights.removeprefix(RANDOM)))
        return build()


def local_path(settings: EncoderSettings) -> Path | None:
    """The file or folder that the weights are in, or None for a hub id or a URL. Raises EncoderError."""
    path = Path(str(settings.weights)).expanduser()
    if path.exists():
        return path
    if path.is_absolute():
        raise absent(settings, f"there is no {path}")
    return None


def checkpoint(settings: EncoderSettings) -> dict[str, torch.Tensor]:
    """State dict of the torch checkpoint at the setting's path or URL. Raises EncoderError.

    What is at a URL is downloaded once, to where torch.hub keeps its checkpoints, under a name that no other
    URL has.
    """
    path = local_path(settings)
    if path is not None:
        return _read(path, settings)
    url = str(settings.weights)
    if not url.startswith(_URL):
        raise absent(settings, "these weights are a checkpoint file or its URL, not a hub id")
    of_url = hashlib.sha256(url.encode()).hexdigest()[:12]
    kept = Path(torch.hub.get_dir()) / "checkpoints" / f"{of_url}-{Path(urlsplit(url).path).name}"
    if kept.exists():
        return _read(kept, settings)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(kept), progress=sys.stderr.isatty())
    except OSError as error:
        raise absent(settings, f"the download to {kept.parent} failed: {error}") from None
    try:
        return _read(kept, settings, found_at=url)
    except EncoderError:
        kept.unlink(missing_ok=True)  # so that a broken download is not met again
        raise


def _read(path: Path, settings: EncoderSettings, found_at: str = "") -> dict[str, torch.Tensor]:
    """State dict of a torch checkpoint, `{"model_state": …}` or bare, on the CPU.

    Only tensors are unpickled (`weights_only`): a checkpoint cannot run code. Raises EncoderError.
    """
    where = found_at or str(path)
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises nearly anything on a file that is none of its own
        raise EncoderError(
            f"encoders.{settings.name}.weights: {where} is no torch checkpoint of plain tensors: {error}"
        ) from None
    state = loaded.get("model_state", loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise EncoderError(
            f"encoders.{settings.name}.weights: {where} holds no state dict; "
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
