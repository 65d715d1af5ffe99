"""Frames to the input of a model, and its output to the arrays that are stored."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import adaptive_avg_pool3d, interpolate

from extract.errors import UnreadableVideo
from store.format.dtypes import array_dtype

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Overflow(UnreadableVideo):
    """A feature that the stored precision cannot hold."""

    kind = "overflow"


class Normalisation:
    """(x / 255 - mean) / std of uint8 [..., 3, H, W], computed in float32, then cast."""

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], device: torch.device, dtype: torch.dtype
    ) -> None:
        # Made once: making a tensor of numbers on a GPU waits for all the work that is queued there.
        per_channel = torch.tensor([mean, std], dtype=torch.float64)[:, :, None, None]  # [2, 3, 1, 1]
        self._scale = (1 / (255 * per_channel[1])).to(device, torch.float32)
        self._offset = (per_channel[0] / per_channel[1]).to(device, torch.float32)
        self._dtype = dtype

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        return (pictures.float() * self._scale - self._offset).to(self._dtype)


def uploaded(pictures: Sequence[NDArray[np.uint8]], device: torch.device) -> torch.Tensor:
    """uint8 [N, *shape] on the device; a GPU copies it while it works on what came before."""
    pinned = device.type == "cuda"
    host = torch.empty((len(pictures), *pictures[0].shape), dtype=torch.uint8, pin_memory=pinned)
    np.stack(pictures, out=host.numpy())
    return host.to(device, non_blocking=pinned)


def storable(features: torch.Tensor, dtype: str, encoder: str) -> NDArray[Any]:
    """The features as an array of the stored dtype. Raises Overflow if they are not finite in it.

    Cast on the device, so that no more than is stored is copied back; waits for the current stream alone.
    """
    stored = features.to(PRECISIONS[dtype])
    if not bool(torch.isfinite(stored).all()):
        raise Overflow(
            f"encoders.{encoder}: features up to {float(features.float().abs().max()):.3g} do not fit into "
            f"{dtype}; set its dtype to float32 (or a wider precision)"
        )
    host = stored.cpu()
    if dtype == "bfloat16":
        host = host.view(torch.int16)  # numpy itself has no bfloat16
    array: NDArray[Any] = host.numpy().view(array_dtype(dtype))
    return array


def pooled_tokens(tokens: torch.Tensor, side: int, grid: tuple[int, ...]) -> torch.Tensor:
    """Patch tokens [N, side², D], resampled bilinearly to [N, h · w, D] of the grid (h, w).

    As LLaVA-OneVision and VQA² bring SigLIP's 27 x 27 tokens to 14 x 14: without antialiasing.
    """
    picture = tokens.float().transpose(1, 2).unflatten(2, (side, side))  # [N, D, side, side]
    resampled = interpolate(picture, size=grid, mode="bilinear", align_corners=False)
    return resampled.flatten(2).transpose(1, 2)


def pooled_map(maps: torch.Tensor, grid: tuple[int, ...] | None) -> torch.Tensor:
    """Maps [N, C, t, h, w], average-pooled to the grid where there is one, as [N, t, h, w, C]."""
    if grid is not None:
        maps = adaptive_avg_pool3d(maps.float(), grid)  # type: ignore[arg-type]
    return maps.permute(0, 2, 3, 4, 1)
