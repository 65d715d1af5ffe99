"""Where videos are decoded: in worker processes, which may crash and cost no more than a video; or here."""

import logging
import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import islice
from multiprocessing.connection import wait

from config.errors import Problem
from extract.encoders.base import Encoder
from extract.tasks import Refused, VideoTask
from extract.video.view import Chunk
from extract.workers.decode_process import START_SECONDS, DecodeProcess
from extract.workers.messages import Attempt, Decoders, Event, Lost
from extract.workers.transport import Buffers
from extract.workers.worker import video_messages, worker_config

logger = logging.getLogger(__name__)

_ATTEMPTS = 2
_FAILED_STARTS = 3
_TICK_SECONDS = 0.5


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerFailed(Problem):
    """Decode processes end, or hang, before they can be given a video: another one will not do better."""


class DecodeHere(Decoders):
    """Decodes in this process: for few videos, or one at a time. A crash is this process's own."""

    def __init__(self, encoders: Mapping[str, Encoder], threads: int = 1) -> None:
        """`threads`: see WorkerConfig."""
        self._config = worker_config(encoders, threads)

    def events(self, tasks: Iterable[VideoTask]) -> Generator[Event | None]:
        for task in tasks:
            attempt = Attempt(task)
            for message in video_messages(task, self._config):
                yield attempt, message

    def recycle(self, chunk: Chunk) -> None:
        """Nothing: the chunk's memory is its own."""

    def close(self) -> None:
        """Nothing is at work between events."""


class DecodePool(Decoders):
    """Decodes in worker processes, which live until `close`; see Decoders.

    A worker that dies is replaced, and its video tried once more. One that says nothing for
    `time_budget_seconds`, not counting what it waits for this process, is killed and replaced; its video has
    failed. Workers share nothing with each other, so that a kill leaves no lock behind.
    """

    def __init__(self, encoders: Mapping[str, Encoder], workers: int, time_budget_seconds: float) -> None:
        self._config = worker_config(encoders)
        self._buffers = Buffers()
        self._limit = workers
        self._time_budget_seconds = time_budget_seconds
        self._workers: list[DecodeProcess] = []
        self._failed_starts = 0

    @property
    def pids(self) -> list[int]:
        """Numbers of the worker processes."""
        return [worker.pid for worker in self._workers]

    def events(self, tasks: Iterable[VideoTask]) -> Generator[Event | None]:
        """See Decoders. Raises WorkerFailed."""
        attempts = map(Attempt, tasks)
        waiting: deque[Attempt] = deque()
        try:
            while True:
                # One for every worker, so that none waits for `tasks`.
                waiting.extend(islice(attempts, max(0, self._limit - len(waiting))))
                if not waiting and not any(worker.attempt for worker in self._workers):
                    break
                self._employ(waiting)
                yield from self._round(waiting)
        finally:
            for worker in [worker for worker in self._workers if worker.attempt]:
                self._dismiss(worker)

    def recycle(self, chunk: Chunk) -> None:
        self._buffers.give_back(chunk)

    def close(self) -> None:
        """End all workers, at once."""
        for worker in list(self._workers):
            self._dismiss(worker)

    def _employ(self, waiting: deque[Attempt]) -> None:
        """Give every idle worker a video, and start as many as there is work for."""
        for worker in self._workers:
            if waiting and worker.idle:
                worker.give(waiting.popleft())
        starting = sum(not worker.ready for worker in self._workers)
        wanted = min(self._limit - len(self._workers), len(waiting) - starting)
        self._workers.extend(DecodeProcess(self._config, self._buffers) for _ in range(wanted))

    def _round(self, waiting: deque[Attempt]) -> Iterator[Event | None]:
        """Read one message of each worker that has any; see who has died or hangs."""
        sources = [source for worker in self._workers for source in (worker.connection, worker.sentinel)]
        ready = wait(sources, _TICK_SECONDS)
        if not ready:
            yield None
        for worker in list(self._workers):
            event: Event | None = None
            if worker.connection in ready:
                event = self._read(worker, waiting)
            elif worker.sentinel in ready:
                event = self._lost(worker, waiting)
            elif worker.silent_too_long(self._time_budget_seconds):
                event = self._hangs(worker)
            if event:
                yield event

    def _read(self, worker: DecodeProcess, waiting: deque[Attempt]) -> Event | None:
        attempt = worker.attempt
        try:
            message = worker.receive()
        except (EOFError, OSError):
            return self._lost(worker, waiting)
        self._failed_starts = 0
        return (attempt, message) if attempt and message else None

    def _lost(self, worker: DecodeProcess, waiting: deque[Attempt]) -> Event | None:
        ending, attempt = self._dismiss(worker), worker.attempt
        if attempt is None:
            if not worker.ready:
                self._count_failed_start(f"ended at once ({ending}): its error stands above")
            return None
        task = attempt.task
        if attempt.number < _ATTEMPTS:
            logger.warning("%s: its decode process died (%s); tried again", task.path, ending)
            waiting.appendleft(Attempt(task, attempt.number + 1))
            return attempt, Lost()
        reason = f"the decode process died on it {_ATTEMPTS} times (the last time: {ending})"
        return attempt, Refused(task, "crash", f"{task.path}: {reason}; encode it again, or leave it out")

    def _hangs(self, worker: DecodeProcess) -> Event | None:
        attempt = worker.attempt
        self._dismiss(worker)
        if attempt is None:
            self._count_failed_start(f"is not ready after {START_SECONDS:g} s: is memory short?")
            return None
        reason = (
            f"decoding gave nothing for {self._time_budget_seconds:g} s; where storage or machine are that"
            " slow, raise --time-budget and add --retry-quarantined; otherwise encode it again"
        )
        return attempt, Refused(attempt.task, "timeout", f"{attempt.task.path}: {reason}")

    def _count_failed_start(self, what: str) -> None:
        self._failed_starts += 1
        if self._failed_starts >= _FAILED_STARTS:
            raise WorkerFailed(f"a decode process {what} (the {_FAILED_STARTS}rd in a row)")

    def _dismiss(self, worker: DecodeProcess) -> str:
        self._workers.remove(worker)
        return worker.kill()
