"""Writes finished videos to the store, in a thread of its own, while others are decoded and encoded."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from types import TracebackType
from typing import Any, Self

from extract.encoders.base import Encoder
from extract.run.encoding import EncodedVideo
from extract.run.reference import generation_of, provenance
from extract.tasks import Extracted, Outcome, Phases, Refused
from store.errors import DuplicateVideo, InvalidFeatures, InvalidName, InvalidSpecification, StoreError
from store.features import FeatureSet, PartWriter

logger = logging.getLogger(__name__)

_VIDEOS_AHEAD = 8
_OF_ONE_VIDEO = (InvalidFeatures, InvalidName, InvalidSpecification, DuplicateVideo)
"""Errors of the store that are one video's: the others go on."""


class Recorder(AbstractContextManager["Recorder"]):
    """Stores videos and refusals, and commits what is stored every `commit_seconds` and at the end.

    What was stored is committed however the block ends, as a signal cannot interrupt a write; only after an
    error of the store itself is it dropped.
    """

    def __init__(
        self,
        sets: Mapping[str, FeatureSet],
        encoders: Mapping[str, Encoder],
        commit_seconds: float,
        phases: Phases,
        on_commit: Callable[[], None],
    ) -> None:
        """`on_commit`: called after each commit, in the thread."""
        self._sets = sets
        self._encoders = encoders
        self._on_commit = on_commit
        self._commit_seconds = commit_seconds
        self._phases = phases
        self._thread = ThreadPoolExecutor(1, "write", _stay_with, (self,))
        self._writers: dict[str, PartWriter] = {}
        self._generations: dict[str, int] = {}
        self._pending: deque[Future[Outcome | None]] = deque()
        self._uncommitted_since: float | None = None
        self._busy_seconds = 0.0

    def record(self, result: EncodedVideo | Refused) -> None:
        """Write a video's features, or put it in quarantine. Waits while too many are on their way."""
        if isinstance(result, Refused):
            self._pending.append(self._thread.submit(quarantine, result, self._sets))
        else:
            self._pending.append(self._thread.submit(self._write, result))
        wait(list(self._pending)[:-_VIDEOS_AHEAD])

    def outcomes(self) -> Iterator[Outcome]:
        """What has been written since; also sees to it that commits are in time. Raises StoreError."""
        since = self._uncommitted_since
        if since is not None and not self._pending and time.monotonic() - since > self._commit_seconds:
            self._pending.append(self._thread.submit(self._commit))
        while self._pending and self._pending[0].done():
            outcome = self._pending.popleft().result()
            if outcome is not None:
                yield outcome

    def finish(self) -> Iterator[Outcome]:
        """Wait for all that is to be written."""
        wait(self._pending)
        yield from self.outcomes()

    def __enter__(self) -> Self:
        for name, features in self._sets.items():
            self._generations[name] = generation_of(features)
            self._writers[name] = features.writer(provenance=provenance(self._encoders[name]))
            self._writers[name].__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, StoreError):
                raise error
            while self._pending:
                self._pending.popleft().result()
            self._thread.submit(self._commit).result()
        except BaseException as cause:
            for pending in self._pending:
                pending.cancel()
            self._thread.submit(self._discard).result()
            if cause is not error:
                raise
        finally:
            self._thread.shutdown()
            self._phases.add("write", self._busy_seconds)

    def _write(self, video: EncodedVideo) -> Outcome:
        """In the thread, as all that follow."""
        started = time.perf_counter()
        task, faults = video.task, {}
        try:
            for encoder in task.encoders:
                try:
                    self._writers[encoder].add(
                        task.video, video.features.streams(encoder), self._meta(video, encoder)
                    )
                except _OF_ONE_VIDEO as error:
                    faults[encoder] = str(error)
        finally:
            video.features.close()
            self._busy_seconds += time.perf_counter() - started
        if self._uncommitted_since is None:
            self._uncommitted_since = time.monotonic()
        if time.monotonic() - self._uncommitted_since >= self._commit_seconds:
            self._commit()
        if faults:
            reason = f"{task.path}: {'; '.join(faults.values())}"
            return quarantine(Refused(replace(task, encoders=tuple(faults)), "defect", reason), self._sets)
        return Extracted(task, video.info, video.stamp.file_bytes, video.features.size_bytes)

    def _meta(self, video: EncodedVideo, encoder: str) -> dict[str, Any]:
        later = self._generations[encoder] > 1
        generation = {"generation": self._generations[encoder]} if later else {}
        return {**video.info.as_json(), **asdict(video.stamp), **generation}

    def _commit(self) -> None:
        started = time.perf_counter()
        for writer in self._writers.values():
            writer.flush()
        self._uncommitted_since = None
        self._on_commit()
        self._busy_seconds += time.perf_counter() - started

    def _discard(self) -> None:
        for writer in self._writers.values():
            writer.discard()


def quarantine(refused: Refused, sets: Mapping[str, FeatureSet]) -> Refused:
    """Put a video in quarantine, for all encoders of its task."""
    task = refused.task
    for encoder in task.encoders:
        try:
            sets[encoder].quarantine.add(task.video, refused.message, refused.kind, str(task.path))
        except InvalidName as error:
            # It is met again next time, but the others must not suffer for its name.
            logger.error("%s: not in the list of quarantine: %s", ascii(str(task.path)), error)
    return refused


def _stay_with(_recorder: Recorder) -> None:
    """Run first in the thread, which holds its argument from then on.

    So the thread stays until the recorder has committed, even where that is left to the garbage collector.
    """
