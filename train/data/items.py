"""Which items of a stream a branch reads, their numbers in the video, and when they begin.

A stream has an item a chunk or, as VQA²'s motion, a frame. Beside a branch's features a model is given, under
further names, the numbers of the items where they are not 0, 1, 2, …, and the seconds at which they begin
where the branches' items do not begin together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

from config.schema import BranchSettings

_NUMBERS, _SECONDS = "@items", "@seconds"
_EARLY = 1e-4
"""Seconds by which an item may begin before a chunk and count as the chunk's: a frame rate is rounded."""


@dataclass(frozen=True)
class Items:
    """What a branch reads of a video."""

    numbers: Sequence[int]
    """Of the items, in the video."""
    step: float | None
    """Seconds from one to the next; None where that is not known."""


def chosen_items(count: int, branch: BranchSettings, minimum: int = 1, start: int = 0) -> list[int]:
    """Places among `count` items, of which the first is the video's item `start`, that the branch takes.

    The last one is repeated up to `minimum`, or to the branch's `first_chunks`.
    """
    order = list(range(count))
    if branch.first_chunks is not None:
        if branch.first_by == "name":
            order.sort(key=lambda item: str(start + item))
        order, minimum = order[: branch.first_chunks], branch.first_chunks
    most = branch.at_most
    if most is not None and len(order) > most:
        order = [order[place * (len(order) - 1) // max(most - 1, 1)] for place in range(most)]
    return order + order[-1:] * (minimum - len(order))


def step_seconds(specification: Mapping[str, Any], fps: float | None) -> float | None:
    """Seconds from one item to the next of features of that specification; None where it does not say.

    `fps`: the video's frames a second, where an item is a frame.
    """
    if "chunk_seconds" in specification:
        return float(Fraction(specification["chunk_seconds"]))
    frames = specification.get("frames")
    of_frames = isinstance(frames, Mapping) and frames.get("rule") == "all"
    return 1 / fps if of_frames and fps else None


def items_within(start: float, stop: float | None, step: float, unit: float, count: int) -> range:
    """The items, of `count`, that begin within the stretch from `start` up to `stop`, each `unit` seconds."""

    def first(chunk: float) -> int:
        return min(max(0, math.ceil((chunk * unit - _EARLY) / step)), count)

    return range(first(start), count if stop is None else first(stop))


def marks(items: Mapping[str, Items], branches: Mapping[str, BranchSettings]) -> dict[str, torch.Tensor]:
    """What is given beside the features [K, …] of branches that keep their items: numbers, seconds [K]."""
    kept = {name: own for name, own in items.items() if branches[name].over_time == "keep"}
    found: dict[str, torch.Tensor] = {}
    for name, own in kept.items():
        numbers = torch.tensor(own.numbers)
        if branches[name].projector.positions and not torch.equal(numbers, torch.arange(len(numbers))):
            found[name + _NUMBERS] = numbers
    together = len({(own.step, len(own.numbers)) for own in kept.values()}) <= 1
    steps = {name: own.step for name, own in kept.items() if own.step is not None}
    if not together and len(steps) == len(kept):
        for name, step in steps.items():
            found[name + _SECONDS] = torch.tensor(kept[name].numbers, dtype=torch.float64) * step
    return found


def numbers_of(video: Mapping[str, torch.Tensor], branch: str) -> torch.Tensor:
    """The numbers [K] of a branch's items in the video."""
    tokens = video[branch]
    return video.get(branch + _NUMBERS, torch.arange(len(tokens), device=tokens.device))


def begins_of(video: Mapping[str, torch.Tensor], branch: str) -> torch.Tensor:
    """When a branch's items begin [K], on a scale that the video's branches share.

    In milliseconds, since a rounded frame rate may have a frame begin just before its second; where that is
    not known, in shares of the video's length.
    """
    count = len(video[branch])
    seconds = video.get(branch + _SECONDS)
    if seconds is None:
        return torch.arange(count, dtype=torch.float64) / count
    return (seconds.cpu() * 1000).round()
