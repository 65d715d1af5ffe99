"""How far a job is: counts for its summary, and a bar for people."""

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from extract.tasks import Extracted, Outcome, VideoTask

_FORMAT = "{desc}: {percentage:.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"


class Progress:
    """Counts outcomes of a job of so many videos, whose list may still be read."""

    def __init__(self, videos: int, quiet: bool = False) -> None:
        self.done = 0
        self.failed = 0
        self.chunks = 0
        self.video_seconds = 0.0
        self.source_bytes = 0
        self.feature_bytes = 0
        self.warnings: dict[str, list[str]] = {}
        self._to_do = videos
        self._started = time.monotonic()
        self.bar: tqdm[Any] = tqdm(
            total=videos, desc="extract", bar_format=_FORMAT, disable=quiet or not videos
        )

    def watch(self, tasks: Iterable[VideoTask]) -> Iterator[VideoTask]:
        """The same tasks; those for which there is nothing to do count as passed."""
        for task in tasks:
            if not task.encoders:
                self._to_do -= 1
                self.bar.update()
            yield task

    def add(self, outcome: Outcome) -> None:
        """Count what became of a video."""
        if isinstance(outcome, Extracted):
            self.done += 1
            self.chunks += outcome.info.chunks
            self.video_seconds += outcome.info.duration_seconds
            self.source_bytes += outcome.task.file_bytes
            self.feature_bytes += outcome.feature_bytes
            if outcome.info.warnings:
                self.warnings[outcome.task.video] = list(outcome.info.warnings)
        else:
            self.failed += 1
        self.bar.set_postfix_str(self.line(), refresh=False)
        self.bar.update()

    def line(self) -> str:
        """Such as `120/318 videos, 1.5/s, 2 failed, 3.1 GB written`."""
        counted = self.done + self.failed
        elapsed = max(time.monotonic() - self._started, 1e-3)
        parts = [f"{counted}/{self._to_do} videos", f"{counted / elapsed:.2g}/s"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        return ", ".join([*parts, f"{in_bytes(self.feature_bytes)} written"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()


def in_bytes(count: float) -> str:
    """For people: `3.1 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
