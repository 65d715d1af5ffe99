"""Several machines: cells as tasks of a Ray cluster.

Importing this module raises RayMissing where Ray is not installed.
"""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from config.pool import WorkerDied
from evaluate.errors import FolderNotShared
from extract.executors.base import NoPlace, RayMissing
from extract.executors.ray import connect

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ImportError as error:
    raise RayMissing(error) from None

Task = TypeVar("Task")
Result = TypeVar("Result")

_PACKAGES = ("config", "store", "extract", "train", "evaluate")
_STOP_SECONDS = 10.0


class Cluster:
    """As config.pool.Pool does it, with each task on a GPU of the cluster, or a CPU where it has no GPU.

    Tasks whose node dies begin anew on another, and nodes that join are put to work. All nodes work in this
    process's folder, which must be there under the same path. Where the `with` block ends by an error,
    running tasks are interrupted first.
    """

    def __init__(self, address: str | None = None) -> None:
        """`address` as `connect` takes it; raises NoPlace where nothing in the cluster could work."""
        connect(address, _PACKAGES)
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self._needs = {"num_cpus": 1, "num_gpus": int(resources.get("GPU", 0) >= 1)}
        self._waiting: list[Any] = []
        if resources.get("CPU", 0) < 1:
            ray.shutdown()
            raise NoPlace("no node of the Ray cluster has a CPU: expected one with a CPU; see `ray status`")

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        for task in self._waiting:
            with suppress(RayError):
                ray.cancel(task)
        if self._waiting:
            ray.wait(self._waiting, num_returns=len(self._waiting), timeout=_STOP_SECONDS)
        ray.shutdown()

    def each(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
        """Number and result of each task, as they are ready.

        Raises WorkerDied where a task's process died again and again, and what the function raises.
        """
        remote: Any = ray.remote(_in_folder).options(**self._needs)
        here = Path.cwd()
        numbers = {remote.remote(here, function, task): number for number, task in enumerate(tasks)}
        self._waiting = list(numbers)
        while self._waiting:
            (ready,), self._waiting = ray.wait(self._waiting)
            try:
                result = ray.get(ready)
            except RayTaskError as error:
                raise error.cause from error
            except RayError as error:
                raise WorkerDied(
                    f"a process of the Ray cluster died again and again ({type(error).__name__}): run the"
                    " same command, which continues; see `ray status` and Ray's logs for what ended it"
                ) from error
            yield numbers[ready], result


def _in_folder(folder: Path, function: Callable[[Task], Result], task: Task) -> Result:
    try:
        os.chdir(folder)
    except OSError as error:
        raise FolderNotShared(
            f"{folder}: not there on the node {socket.gethostname()} ({error}); expected the folder"
            " that the command was started in, on a file system that all nodes share"
        ) from None
    return function(task)
