"""What there is to extract, what becomes of it, how to do it, and how long its phases took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.schema import EncoderSettings
from extract.location import Location
from extract.video.clock import LARGEST_GAP_SECONDS
from extract.video.decode import VideoInfo


@dataclass(frozen=True)
class VideoTask:
    """A video and the encoders that still lack it.

    largest_gap_seconds: between two frames; a longer one is refused.
    refresh: the store may have features of it, which are outdated.
    """

    video: str
    path: Location
    encoders: tuple[str, ...]
    largest_gap_seconds: float = LARGEST_GAP_SECONDS
    refresh: bool = False


@dataclass(frozen=True)
class Extracted:
    """The video's features were handed to the writer. `source_bytes`: of its file."""

    task: VideoTask
    info: VideoInfo
    source_bytes: int
    feature_bytes: int


@dataclass(frozen=True)
class Refused:
    """The video gave no features. `kind`: see extract.errors; `crash`, `timeout` or `defect` where the
    program itself failed on it."""

    task: VideoTask
    kind: str
    message: str


Outcome = Extracted | Refused


@dataclass(frozen=True)
class Recipe:
    """How to extract a dataset: plain values, so that it may travel to other processes and machines."""

    store: Path
    backend: str
    dataset: str
    encoders: tuple[EncoderSettings, ...]
    workers: int
    """Decode processes for each device; 0 decodes in the process of the encoders."""
    time_budget_seconds: float
    """A decode worker that works for so long without giving anything is killed, and its video refused."""
    commit_seconds: float
    """Finished videos are committed at least this often: what an interruption may cost."""
    largest_gap_seconds: float = LARGEST_GAP_SECONDS
    """See VideoTask."""


class Phases:
    """Seconds by phase. Those of several workers or devices add up, so they may exceed the job's own time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

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
    def busy_share(self) -> float | None:
        """Share of the time in which the devices computed; None where no encoder runs on a device.

        `run` and `encode` both add up over the devices (see Extractor).
        """
        run, encode = self.seconds.get("run", 0.0), self.seconds.get("encode", 0.0)
        return min(1.0, encode / run) if run and encode else None
