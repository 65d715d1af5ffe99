"""Random draws that depend on the seed, the epoch and the sample alone.

However many processes train, however a step is cut into batches and wherever a run is resumed, a sample gets
the same wording, noise and dropout. The dropout of LoRA adapters, inside the decoder, is the exception: it is
drawn for each forward pass, so that it repeats only for the same number of processes and the same budget.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import nn

Draws = Mapping[nn.Module, Sequence[tuple[int, int]]]
"""Projector → (rows, seed) of each video, in the order of its input."""

_CURRENT: ContextVar[Draws | None] = ContextVar("draws", default=None)


def derived_seed(*parts: int) -> int:
    """A seed from several numbers, in which each of them matters (numpy's SeedSequence)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0]) >> 1


def drawn_wording(seed: int, epoch: int, sample: int, task: int, count: int) -> int:
    """Which of `count` wordings a question gets."""
    return derived_seed(seed, epoch, sample, task) % count


@contextmanager
def draws_of_samples(draws: Draws) -> Iterator[None]:
    """Within the block, `by_sample` draws for each video from its own seed."""
    token = _CURRENT.set(draws)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def by_sample(
    module: nn.Module, function: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor
) -> torch.Tensor:
    """`function` of each video's rows, under that video's seed; of all at once where no seeds are set."""
    draws = (_CURRENT.get() or {}).get(module)
    if draws is None:
        return function(rows)
    generator = device_generator(rows.device)
    before = generator.get_state()
    drawn = []
    for part, (_, seed) in zip(rows.split([count for count, _ in draws]), draws, strict=True):
        generator.manual_seed(seed)
        drawn.append(function(part))
    generator.set_state(before)
    return torch.cat(drawn)


def device_generator(device: torch.device) -> torch.Generator:
    """What the device's operations draw from; `torch.manual_seed` would seed all devices, slowly."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return torch.cuda.default_generators[index]
    return torch.default_generator
