"""Writes finished videos to the store, in a thread of its own, while others are decoded and encoded."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from extract.run.encoding import EncodedVideo
from extract.run.reference import generation_of
from extract.tasks import Extracted, Outcome, Refused
from extract.timing import Phases
from store.errors import DuplicateVideo, InvalidFeatures, InvalidName, InvalidSpecification, StoreError
from store.features import FeatureSet, PartWriter

logger = logging.getLogger(__name__)

_VIDEOS_AHEAD = 8
_OF_ONE_VIDEO = (InvalidFeatures, InvalidName, InvalidSpecification, DuplicateVideo)
"""Errors of the store that are one video's: the others go on."""


class Recorder:
    """Stores videos and refusals, and commits what is stored every `commit_seconds` and at the end.

    Used as a context manager. What was stored is committed however the block ends, as a signal cannot
    interrupt a write; only after an error of the store itself is it dropped.
    """

    def __init__(
        self,
        sets: Mapping[str, FeatureSet],
        commit_seconds: float,
        phases: Phases,
        on_commit: Callable[[], None] = lambda: None,
        made_with: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """`on_commit`: called after each commit, in the thread. `made_with`: each encoder's provenance."""
        self._made_with = made_with or {}
        self._sets = sets
        self._on_commit = on_commit
        self._commit_seconds = commit_seconds
        self._phases = phases
        self._thread = ThreadPoolExecutor(1, "write", _stay_with, (self,))
        self._writers: dict[str, PartWriter] = {}
        self._generations: dict[str, int] = {}
        self._pending: deque[Future[Any]] = deque()
        self._done: deque[Outcome] = deque()
        self._uncommitted_since: float | None = None
        self._busy_seconds = 0.0

    def store(self, video: EncodedVideo) -> None:
        """Write a video's features. Waits while too many are on their way."""
        self._submit(self._thread.submit(self._write, video))

    def refuse(self, refused: Refused) -> None:
        """Put a video in quarantine, for all encoders of its task."""
        self._submit(self._thread.submit(self._quarantine, refused))

    def outcomes(self) -> Iterator[Outcome]:
        """What has been written since; also sees to it that commits are in time. Raises StoreError."""
        since = self._uncommitted_since
        if since is not None and not self._pending and time.monotonic() - since > self._commit_seconds:
            self._pending.append(self._thread.submit(self._commit))
        while self._pending and self._pending[0].done():
            self._take()
        while self._done:
            yield self._done.popleft()

    def finish(self) -> Iterator[Outcome]:
        """Wait for all that is to be written."""
        while self._pending:
            self._take()
        yield from self.outcomes()

    def __enter__(self) -> Self:
        self._generations = {name: generation_of(features) for name, features in self._sets.items()}
        self._writers = {
            name: features.writer(provenance=self._made_with.get(name))
            for name, features in self._sets.items()
        }
        for writer in self._writers.values():
            writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, StoreError):
                raise error
            while self._pending:
                self._take()
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

    def _submit(self, future: Future[Any]) -> None:
        self._pending.append(future)
        while len(self._pending) > _VIDEOS_AHEAD:
            self._take()

    def _take(self) -> None:
        outcome = self._pending.popleft().result()
        if outcome is not None:
            self._done.append(outcome)

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
            return self._quarantine(Refused(replace(task, encoders=tuple(faults)), "defect", reason))
        return Extracted(task, video.info, video.features.size_bytes)

    def _meta(self, video: EncodedVideo, encoder: str) -> dict[str, Any]:
        later = self._generations[encoder] > 1
        generation = {"generation": self._generations[encoder]} if later else {}
        return {**video.info.as_json(), **video.stamp.as_meta(), **generation}

    def _quarantine(self, refused: Refused) -> Outcome:
        task = refused.task
        for encoder in task.encoders:
            try:
                self._sets[encoder].quarantine.add(task.video, refused.message, refused.kind, str(task.path))
            except InvalidName as error:
                # It is met again next time, but the others must not suffer for its name.
                logger.error("%s: not in the list of quarantine: %s", ascii(str(task.path)), error)
        return refused

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


def _stay_with(_recorder: Recorder) -> None:
    """Run first in the thread, which holds its argument from then on.

    So the thread stays until the recorder has committed, even where that is left to the garbage collector.
    """
