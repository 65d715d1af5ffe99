"""Members: sets of projectors side by side, trained on the same batches, whose answers are averaged.

The mean of several networks that differ in their initial weights and draws alone is steadier, and mostly
better, than each of them (Lakshminarayanan et al. 2017, arXiv 1612.01474).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from train.model.packing import Context

_COMMON = "standardise"
"""The part of a projector that is one for all members, and saved with the first: they see the same videos."""


class Members(nn.ModuleList):
    """Modules of one form, one for each member."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__(modules)
        first, *others = modules
        if getattr(first, _COMMON, None) is None:
            return
        for other in others:
            setattr(other, _COMMON, getattr(first, _COMMON))
        self.register_state_dict_post_hook(_saved_once)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_loaded_into_all)  # type: ignore[no-untyped-call]

    @property
    def output_tokens(self) -> int:
        return int(self[0].output_tokens)  # type: ignore[arg-type]


def _saved_once(members: nn.Module, state: dict[str, torch.Tensor], prefix: str, *_: Any) -> None:
    for copies in _common_names(members, state, prefix).values():
        for copy in copies:
            del state[copy]


def _loaded_into_all(members: nn.Module, state: dict[str, torch.Tensor], prefix: str, *_: Any) -> None:
    for own, copies in _common_names(members, state, prefix).items():
        state.update(dict.fromkeys(copies, state[own]))


def _common_names(members: nn.Module, state: dict[str, torch.Tensor], prefix: str) -> dict[str, list[str]]:
    """Name of a tensor of the common part, as the first member's → its names as the others'."""
    first, *others = (f"{prefix}{name}.{_COMMON}." for name, _ in members.named_children())
    own = [name for name in state if name.startswith(first)]
    return {name: [other + name.removeprefix(first) for other in others] for name in own}


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
