"""Stored features of a video as a pipeline's branches take them."""

import math
from collections.abc import Mapping

import torch
from torch.nn import functional

from config.schema import BranchSettings
from train.data.items import Items, chosen_items, marks
from train.errors import TrainError

Features = Mapping[str, torch.Tensor]
"""Branch name → [K, tokens, features] of one video; beside them what train.data.items notes."""


def video_features(
    blocks: Mapping[str, torch.Tensor],
    branches: Mapping[str, BranchSettings],
    steps: Mapping[str, float | None],
    minimum_chunks: int = 1,
    starts: Mapping[str, int] | None = None,
) -> Features:
    """What the model is given of a video, from branch → items [K, *stream shape].

    `steps`: seconds from one item of a branch to the next. `starts`: the first items' numbers in the video.
    """
    starts = starts or dict.fromkeys(blocks, 0)
    items = {
        name: Items(
            [
                starts[name] + n
                for n in chosen_items(len(block), branches[name], minimum_chunks, starts[name])
            ],
            steps[name],
        )
        for name, block in blocks.items()
    }
    tokens = {
        name: branch_tokens(block, branches[name], minimum_chunks, starts[name])
        for name, block in blocks.items()
    }
    return {**tokens, **marks(items, branches)}


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


def branch_tokens(
    block: torch.Tensor, branch: BranchSettings, minimum_chunks: int = 1, start: int = 0
) -> torch.Tensor:
    """[K, *stream shape] → [K, tokens, features]; [1, tokens, features] where the branch averages over time.

    Maps are average-pooled to the branch's grid here, at load time: all token counts of the paper's
    ablation come from the same stored features. So is the last chunk repeated up to `minimum_chunks`. The
    block's first chunk is the video's chunk `start`.
    """
    chosen = chosen_items(len(block), branch, minimum_chunks, start)
    if chosen != list(range(len(block))):
        block = block[chosen]
    if branch.over_time == "mean":
        block = block.float().mean(dim=0, keepdim=True)
    if branch.grid is not None:
        maps = block.movedim(-1, 1).float()  # [K, D, t, h, w]
        block = functional.adaptive_avg_pool3d(maps, branch.grid).movedim(1, -1)  # [K, t', h', w', D]
    return block.reshape(block.shape[0], -1, block.shape[-1])
