"""Frames to the input of a model, and its output to the arrays that are stored."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from config.errors import Problem
from extract.encoders.base import Chunk

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Overflow(Problem):
    """A feature that the stored precision cannot hold."""


def stacked(chunks: Sequence[Chunk], request: str, device: torch.device) -> torch.Tensor:
    """uint8 [N, count, H, W, 3] of the chunks, on the device."""
    return torch.from_numpy(np.stack([chunk.frames[request] for chunk in chunks])).to(device)


def normalised(
    pictures: torch.Tensor, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype
) -> torch.Tensor:
    """uint8 [..., 3] to (x / 255 - mean) / std; computed in float32, then cast."""
    scale = 1.0 / (255.0 * torch.tensor(std, device=pictures.device))
    offset = torch.tensor(mean, device=pictures.device) / torch.tensor(std, device=pictures.device)
    return (pictures.float() * scale - offset).to(dtype)


def storable(features: torch.Tensor, dtype: str, encoder: str) -> NDArray[Any]:
    """The features as an array of the stored dtype. Raises Overflow if they are not finite in it."""
    with np.errstate(over="ignore"):
        array = features.float().cpu().numpy().astype(dtype)
    if not np.isfinite(array).all():
        raise Overflow(
            f"encoders.{encoder}: features up to {float(features.float().abs().max()):.3g} do not fit into "
            f"{dtype}; set its dtype to float32 (or a wider precision)"
        )
    return array
