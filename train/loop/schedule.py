"""Learning rates over a run: a linear warm-up, then a cosine, a line down to nothing, or neither."""

import math
from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from config.schema.training import Schedule


def rate_schedule(kind: Schedule, optimizer: Optimizer, warmup: int, steps: int) -> LambdaLR:
    """The rates of transformers.get_scheduler, whose import takes peft's and bitsandbytes' with it.

    `warmup` and `steps`: optimiser steps. `constant` has no warm-up, there as here.
    """
    return LambdaLR(optimizer, partial(rate, kind, warmup, steps))


def rate(kind: Schedule, warmup: int, steps: int, step: int) -> float:
    """The share of the learning rate at a step, counted from 0."""
    if kind == "constant":
        return 1.0
    if step < warmup:
        return step / max(1, warmup)
    length = max(1, steps - warmup)
    if kind == "linear":
        return max(0.0, (steps - step) / length)
    return max(0.0, 0.5 * (1 + math.cos(math.pi * ((step - warmup) / length))))
