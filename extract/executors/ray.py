"""Several machines: a task of a Ray cluster for each GPU, or each node, which lasts as long as the job.

Importing this module raises RayMissing where Ray is not installed.
"""

import logging
import os
import socket
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from extract.executors.base import Launcher, NoPlace, Process, RayMissing
from extract.executors.driver import Driver
from extract.executors.worker import launched
from extract.tasks import Recipe

try:
    import ray
    from ray.exceptions import RayError, TaskCancelledError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise RayMissing(error) from None

Kind = Literal["auto", "cpu", "cuda"]

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("config", "store", "extract")
_STOP_SECONDS = 10.0
_ANSWER_SECONDS = 10.0


def ray_executor(recipe: Recipe, address: str | None, device: str) -> Driver:
    """On the machines of a Ray cluster; `device` is what was asked for."""
    kind: Kind = "cuda" if device.startswith("cuda") else "cpu" if device == "cpu" else "auto"
    return Driver(recipe, RayLauncher(recipe, address, kind))


@dataclass(frozen=True)
class Place:
    """Room for one process. `number`: of the places on its node. `workers`: its decode processes."""

    node: str
    host: str
    number: int
    cpus: int
    gpus: int
    workers: int

    def __str__(self) -> str:
        return f"{self.host} ({self.node[:8]}/{self.number})"

    @property
    def device(self) -> str:
        """Where its models run; Ray shows a process none but its own GPUs."""
        return "cuda" if self.gpus else "cpu"


def places(nodes: Iterable[Mapping[str, Any]], workers: int, kind: Kind = "auto") -> list[Place]:
    """One place for each GPU of the living nodes; where the cluster has no GPU, one for each node with CPUs.

    `nodes`: as ray.nodes() gives them. A place gets `workers` decode processes and a CPU more for itself, but
    not more than its even share of the node's CPUs, and at least one. `kind` `cpu` leaves the GPUs alone, and
    `cuda` the nodes without any even in a cluster that has no GPU.
    """
    alive = [node for node in nodes if node["Alive"]]
    gpus = {node["NodeID"]: int(node["Resources"].get("GPU", 0)) for node in alive}
    use_gpus = kind == "cuda" or (kind == "auto" and any(gpus.values()))
    found = []
    for node in alive:
        total = int(node["Resources"].get("CPU", 0))
        here = gpus[node["NodeID"]] if use_gpus else 1
        if total < 1:
            continue
        for number in range(here):
            cpus = max(1, min(workers + 1, total // here))
            # One worker keeps the device busy at best; without a CPU for it, it shares the process's.
            own_workers = min(workers, max(1, cpus - 1))
            host = node["NodeManagerHostname"]
            found.append(Place(node["NodeID"], host, number, cpus, int(use_gpus), own_workers))
    return found


class RayLauncher(Launcher):
    """A task for each of `places`, in the cluster that `connect` finds.

    Store and videos must lie under the same path on every node. Nodes that join are put to work.
    """

    def __init__(self, recipe: Recipe, address: str | None = None, kind: Kind = "auto") -> None:
        self._recipe = recipe
        self._kind: Kind = kind
        gpu = " and a GPU" if kind == "cuda" else ""
        self.no_place = f"expected nodes of the Ray cluster with a free CPU{gpu}; see `ray status`"
        connect(address, _PACKAGES)

    def places(self) -> Sequence[Hashable]:
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return places(nodes, self._recipe.workers, self._kind)

    def launch(self, place: Hashable, job: str) -> "RayTask":
        assert isinstance(place, Place)
        task: Any = ray.remote(launched).options(
            num_cpus=place.cpus,
            num_gpus=place.gpus,
            # The driver starts another one, and counts.
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(place.node, soft=False),
        )
        return RayTask(
            task.remote(replace(self._recipe, workers=place.workers), place.device, job, str(place))
        )

    def close(self) -> None:
        ray.shutdown()


def connect(address: str | None, packages: Sequence[str]) -> None:
    """Join a Ray cluster, and send these packages of ours to its nodes; all others must be installed there.

    `address` as ray.init takes it: None is RAY_ADDRESS, the cluster that this machine is in, or one started
    here. Raises NoPlace where none answers there.
    """
    # Where this process starts a cluster itself, it should not tell the makers of Ray.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _require_answer(address or os.environ.get("RAY_ADDRESS", ""))
    ray.init(
        address=address,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
        runtime_env={"py_modules": [str(_ROOT / package) for package in packages]},
    )


def _require_answer(address: str) -> None:
    """Raise NoPlace where nobody listens at HOST:PORT: Ray itself would try for many minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        try:
            socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()
        except OSError as error:
            raise NoPlace(
                f"--ray-address {address}: no Ray cluster answers there ({error}); expected HOST:6379 of a"
                " head that runs, as `ray status` gives it"
            ) from error


class RayTask(Process):
    """A task of the cluster."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def ended(self) -> bool:
        if not self._done(0):
            return False
        try:
            self.problem = ray.get(self._result)
        except TaskCancelledError:
            pass
        except RayError as error:
            self.death = f"{type(error).__name__}: {error}"
        return True

    def stop(self) -> None:
        with suppress(RayError):
            ray.cancel(self._result)

    def join(self) -> None:
        if not self._done(_STOP_SECONDS):
            # One that is only out of reach would go on extracting.
            with suppress(RayError):
                ray.cancel(self._result, force=True)

    def _done(self, seconds: float) -> bool:
        return bool(ray.wait([self._result], timeout=seconds)[0])
