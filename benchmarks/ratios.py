"""Ways of doing the same thing, timed in turn, round after round, as ratios to one of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from itertools import starmap
from operator import truediv

Job = Callable[[], object]


def seconds(job: Job) -> float:
    """How long a job takes."""
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def compare(
    jobs: Mapping[str, Job], rounds: int, gigabytes: float, before: Callable[[str], None] = lambda _: None
) -> dict[str, float]:
    """Print each way's speed, and the median over rounds of its ratio to the first way's in the same round.

    `before` is called with a way's name each time before it begins, outside the clock. Returns the ratios.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            before(name)
            times[name].append(seconds(job))
    reference = next(iter(times))
    found: dict[str, float] = {}
    for name, measured in times.items():
        found[name] = statistics.median(starmap(truediv, zip(times[reference], measured, strict=True)))
        speed = gigabytes / statistics.median(measured)
        print(f"  {name:44} {found[name]:6.2f} × {reference}   {speed:6.2f} GB/s", flush=True)
    return found
