"""Which GPU each of several worker processes has."""

import multiprocessing
import os
import re
from collections.abc import Sequence
from functools import cache

import torch

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@cache
def use_one_gpu() -> None:
    """In a worker process, before it uses any: leave it one of the GPUs that its parent sees, in turn."""
    number = re.fullmatch(r"\w+Process-(\d+)", multiprocessing.current_process().name)
    if number is None:
        return
    named = os.environ.get(_VISIBLE)
    visible = named.split(",") if named else [str(index) for index in range(torch.cuda.device_count())]
    if chosen := one_of(visible, int(number[1])):
        os.environ[_VISIBLE] = chosen


def one_of(visible: Sequence[str], worker: int) -> str | None:
    """The GPU of the worker of that number, counted from 1; None where there is none."""
    return visible[(worker - 1) % len(visible)] if visible else None
