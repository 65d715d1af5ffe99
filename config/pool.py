"""Many tasks in several processes, each of which ends with its parent."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

from config.errors import Problem

Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerDied(Problem):
    """A process was killed, or crashed within a library."""


class Pool:
    """So many processes, once there is work for more than one; used within a `with` block.

    Where the block ends by an error, tasks that have not begun are dropped, and the others waited for; with
    `terminate`, they are sent SIGTERM first.
    """

    def __init__(self, workers: int, *, terminate: bool = False) -> None:
        self._workers = workers
        self._terminate = terminate
        self._pool: ProcessPoolExecutor | None = None
        self._others: set[BaseProcess] = set()
        """Child processes that are not the pool's."""

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._pool is None:
            return
        if error is not None and self._terminate:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
        self._pool.shutdown(cancel_futures=True)

    def each(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
        """Number and result of each task, as they are ready; with one worker, here and in order.

        Raises WorkerDied, and what the function raises.
        """
        if self._workers < 2 or len(tasks) < 2:
            yield from enumerate(map(function, tasks))
            return
        if self._pool is None:
            self._others = set(multiprocessing.active_children())
            # Spawned, not forked: the parent may have started threads (libav).
            self._pool = ProcessPoolExecutor(
                self._workers, mp_context=get_context("spawn"), initializer=_begin
            )
        try:
            numbers: dict[Future[Result], int] = {
                self._pool.submit(function, task): number for number, task in enumerate(tasks)
            }
            for future in as_completed(numbers):
                yield numbers.pop(future), future.result()
        except BrokenProcessPool as error:
            raise WorkerDied(
                "a worker process ended unexpectedly, perhaps because memory ran out: run the same command,"
                " which continues; with fewer --workers it takes less memory"
            ) from error


def _begin() -> None:
    """Ctrl-C reaches a worker through its parent, whose death ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
