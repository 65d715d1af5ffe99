"""How far a job is: counts for its summary, and a bar for people."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from extract.tasks import Extracted, Outcome, VideoTask

_FORMAT = "{desc}: {percentage:.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"


class Progress:
    """Counts outcomes. The bar goes by the bytes of the files, so that it is right for mixed lengths."""

    def __init__(self, tasks: Sequence[VideoTask], quiet: bool = False) -> None:
        self.done = 0
        self.failed = 0
        self.chunks = 0
        self.video_seconds = 0.0
        self.source_bytes = 0
        self.feature_bytes = 0
        self.warnings: dict[str, list[str]] = {}
        self._videos = len(tasks)
        self._started = time.monotonic()
        self.bar: tqdm[Any] = tqdm(
            total=sum(_weight(task) for task in tasks),
            desc="extract",
            unit="B",
            unit_scale=True,
            bar_format=_FORMAT,
            disable=quiet or not tasks,
        )

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
        self.bar.update(_weight(outcome.task))

    def line(self) -> str:
        """Such as `120/318 videos, 1.5/s, 2 failed, 3.1 GB written`."""
        counted = self.done + self.failed
        elapsed = max(time.monotonic() - self._started, 1e-3)
        parts = [f"{counted}/{self._videos} videos", f"{counted / elapsed:.2g}/s"]
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


def _weight(task: VideoTask) -> int:
    # A file whose size cannot be told still counts.
    return max(task.file_bytes, 1)
