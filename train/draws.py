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
_OWN: ContextVar[Sequence[tuple[int, torch.Generator]] | None] = ContextVar("own draws", default=None)
"""Rows and generator of each video."""


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


@contextmanager
def own_draws(module: nn.Module, rows: torch.Tensor) -> Iterator[None]:
    """Within the block, `normal` and `Dropout` draw for each video of `rows` from its own generator.

    So all videos are computed at once. Without seeds of this module's, they draw as torch does.
    """
    draws = _draws_of(module, rows)
    own = None
    if draws is not None:
        own = [(count, torch.Generator(rows.device).manual_seed(seed)) for count, seed in draws]
    token = _OWN.set(own)
    try:
        yield
    finally:
        _OWN.reset(token)


def normal(like: torch.Tensor) -> torch.Tensor:
    """Standard normal numbers in the shape of `like` [rows, …]."""
    return _drawn(torch.randn, like)


class Dropout(nn.Module):
    """nn.Dropout that draws for each video by itself."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        if not self.training or self.share == 0:
            return tokens
        return tokens * (_drawn(torch.rand, tokens) >= self.share) / (1 - self.share)


def by_sample(
    module: nn.Module, function: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor
) -> torch.Tensor:
    """`function` of each video's rows, under that video's seed; of all at once where no seeds are set.

    For modules that draw within torch; those that can use `own_draws` are several times as fast.
    """
    draws = _draws_of(module, rows)
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


def _draws_of(module: nn.Module, rows: torch.Tensor) -> Sequence[tuple[int, int]] | None:
    draws = (_CURRENT.get() or {}).get(module)
    assert draws is None or sum(count for count, _ in draws) == len(rows), "draws are of the rows' videos"
    return draws


def _drawn(draw: Callable[..., torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    own, rest = _OWN.get(), like.shape[1:]
    if own is None:
        return draw(like.shape, device=like.device)
    return torch.cat([draw(count, *rest, generator=g, device=like.device) for count, g in own])
