"""How long each phase of a job took, so that a starving encoder shows as a number."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Phases:
    """Seconds by phase. Those of several workers or devices add up, so they may exceed the job's own time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    def add(self, phase: str, seconds: float) -> None:
        """Count seconds that were measured elsewhere."""
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Count the seconds of the block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(phase, time.perf_counter() - started)

    @property
    def total(self) -> float:
        """Seconds since the phases began."""
        return time.perf_counter() - self._started

    @property
    def busy_share(self) -> float | None:
        """Share of the time in which the devices computed; None where no encoder runs on a device.

        `run` and `encode` both add up over the devices (see Extractor).
        """
        run, encode = self.seconds.get("run", 0.0), self.seconds.get("encode", 0.0)
        return min(1.0, encode / run) if run and encode else None
