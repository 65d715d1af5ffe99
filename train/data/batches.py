"""Which videos make up each optimiser step, and how the processes share them out; pure arithmetic."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from config.schema import TrainingSettings
from train.draws import derived_seed


@dataclass(frozen=True)
class Batch:
    """What one process puts through one forward pass."""

    videos: list[int]
    counts: bool = True
    """False: a stand-in, which weighs nothing: with a sharded decoder, all make as many passes."""


@dataclass(frozen=True)
class Step:
    """One optimiser step as one process sees it."""

    batches: tuple[Batch, ...]
    """This process's own."""
    videos: int
    tokens: int
    """Of all processes together."""


def total_steps(count: int, settings: TrainingSettings) -> int:
    """Optimiser steps of all epochs over so many videos."""
    return math.ceil(count / settings.batch_size) * settings.epochs


def epoch_steps(count: int, settings: TrainingSettings, epoch: int) -> list[list[int]]:
    """The videos of each of the epoch's steps: a seeded permutation, cut into `batch_size`.

    It depends on nothing else: not on the number of processes, and not on where a run was resumed.
    """
    generator = torch.Generator().manual_seed(derived_seed(settings.seed, epoch))
    return slices(torch.randperm(count, generator=generator).tolist(), settings.batch_size)


def plan_step(
    videos: Sequence[int],
    tokens: Sequence[int],
    budget: int | None,
    process: int = 0,
    processes: int = 1,
    *,
    in_step: bool = True,
) -> Step:
    """The step's batches on one of the processes; `tokens` are those of every video of the dataset.

    `in_step`: all processes make as many passes, with stand-ins where there are not enough videos.
    """
    batches = micro_batches(videos, tokens, budget, processes)[process::processes]
    shortest = min(videos, key=tokens.__getitem__)
    stand_ins = [Batch([shortest], False) for batch in batches if not batch and in_step]
    own = (*stand_ins, *(Batch(batch) for batch in batches if batch))
    return Step(own, len(videos), sum(tokens[video] for video in videos))


def micro_batches(
    videos: Sequence[int], tokens: Sequence[int], budget: int | None, processes: int = 1
) -> list[list[int]]:
    """The videos in as few batches within the budget as are a multiple of `processes`.

    The longest video goes first, always into the batch that is emptiest yet (Graham's LPT rule), so that
    long and short ones mix and the batches take about as long. A video above the budget is alone. Batches
    may be empty where the videos are fewer. Batches keep the order of `videos`.
    """
    place = {video: position for position, video in enumerate(videos)}
    longest_first = sorted(videos, key=lambda video: (-tokens[video], place[video]))
    total = sum(tokens[video] for video in videos)
    rounds = 1 if budget is None else max(1, -(-total // (budget * processes)))
    while True:
        batches = _packed(longest_first, tokens, min(rounds * processes, max(len(videos), processes)))
        if budget is None or all(_fits(batch, tokens, budget) for batch in batches):
            spare = -len(batches) % processes
            return [sorted(batch, key=place.__getitem__) for batch in batches] + [[]] * spare
        rounds += 1


def slices(order: Sequence[int], size: int) -> list[list[int]]:
    """The order in lists of `size`, the last one what is left."""
    return [list(order[start : start + size]) for start in range(0, len(order), size)]


def _packed(longest_first: Sequence[int], tokens: Sequence[int], count: int) -> list[list[int]]:
    batches: list[list[int]] = [[] for _ in range(count)]
    emptiest = [(0, number) for number in range(count)]
    for video in longest_first:
        filled, number = heapq.heappop(emptiest)
        batches[number].append(video)
        heapq.heappush(emptiest, (filled + tokens[video], number))
    return batches


def _fits(batch: Sequence[int], tokens: Sequence[int], budget: int) -> bool:
    return len(batch) <= 1 or sum(tokens[video] for video in batch) <= budget
