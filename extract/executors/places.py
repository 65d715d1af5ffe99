"""Where in a Ray cluster processes may be: pure arithmetic on its nodes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["auto", "cpu", "cuda"]


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
