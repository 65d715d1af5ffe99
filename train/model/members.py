"""Members: sets of projectors side by side, trained on the same batches, whose answers are averaged.

The mean of several networks that differ in their initial weights and draws alone is steadier, and mostly
better, than each of them (Lakshminarayanan et al. 2017, arXiv 1612.01474).
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from train.model.packing import Context


class Members(nn.ModuleList):
    """Modules of one form, one for each member."""

    @property
    def output_tokens(self) -> int:
        return int(self[0].output_tokens)  # type: ignore[arg-type]


def gathered(modules: Sequence[nn.Module]) -> nn.Module:
    """Several as Members; one as it is, by whose names a model without members is saved."""
    return Members(modules) if len(modules) > 1 else modules[0]


def each(module: nn.Module) -> list[nn.Module]:
    """The module of each member."""
    return list(module) if isinstance(module, Members) else [module]


def stacked(blocks: Sequence[Sequence[torch.Tensor]]) -> list[torch.Tensor]:
    """Each video's tensor, from each member's; of several members they are stacked."""
    return list(blocks[0]) if len(blocks) == 1 else [torch.stack(own) for own in zip(*blocks, strict=True)]


def contexts_of_members(contexts: Sequence[Context], members: int) -> list[Context]:
    """One member's contexts after another's, from contexts of media with tokens [members, V, width]."""
    if members == 1:
        return list(contexts)
    return [
        replace(
            context, parts=tuple(part if isinstance(part, tuple) else part[member] for part in context.parts)
        )
        for member in range(members)
        for context in contexts
    ]


def mean_logits(logits: torch.Tensor) -> torch.Tensor:
    """[members, …, N] → [..., N]: logarithms of the mean of the members' distributions; one's as they are."""
    if len(logits) == 1:
        return logits[0]
    return logits.log_softmax(dim=-1).logsumexp(dim=0) - math.log(len(logits))
