"""From a stored block of features to the tokens that a branch's projector sees."""

import math

import torch
from torch.nn import functional

from config.schema import BranchSettings
from train.errors import TrainError


def token_shape(shape: tuple[int, ...], branch: BranchSettings) -> tuple[int, int]:
    """(tokens, features) of a chunk, from the stored stream's shape and the branch's grid."""
    if branch.grid is None:
        return math.prod(shape[:-1]), shape[-1]
    if len(shape) != 4:
        raise TrainError(
            f"grid = {list(branch.grid)} pools maps [time, height, width, dim], but the stream"
            f" {branch.encoder}.{branch.stream} has the shape {list(shape)}: remove `grid`"
        )
    return math.prod(branch.grid), shape[-1]


def branch_tokens(block: torch.Tensor, branch: BranchSettings, minimum_chunks: int = 1) -> torch.Tensor:
    """[K, *stream shape] → [K, tokens, features]; [1, tokens, features] where the branch averages over time.

    Maps are average-pooled to the branch's grid here, at load time: all token counts of the paper's
    ablation come from the same stored features. So is the last chunk repeated up to `minimum_chunks`.
    """
    if len(block) < minimum_chunks:
        block = block[torch.arange(minimum_chunks).clamp(max=len(block) - 1)]
    if branch.over_time == "mean":
        block = block.float().mean(dim=0, keepdim=True)
    if branch.grid is not None:
        maps = block.movedim(-1, 1).float()  # [K, D, t, h, w]
        block = functional.adaptive_avg_pool3d(maps, branch.grid).movedim(1, -1)  # [K, t', h', w', D]
    return block.reshape(block.shape[0], -1, block.shape[-1])
