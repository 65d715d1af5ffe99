"""A real Ray cluster of several nodes, all on this machine."""

import re
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest

# Ray leaves sockets and log files of processes that it has ended to the garbage collector.
left_open = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


class SlowClock:
    """The module `time`, slower by 20: Ray gives a node 30 s to start, which a busy machine may not keep."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def monotonic(self) -> float:
        return time.monotonic() / 20


AGENTS = (
    "metrics_agent_port",
    "metrics_export_port",
    "dashboard_agent_listen_port",
    "runtime_env_agent_port",
)


@contextmanager
def ray_cluster() -> Iterator[Any]:
    """A head without CPUs; the tests add the nodes that work.

    Ray's agents get ports that are free, and all of them are told to the node: one that is to learn a port
    waits for 15 s and then aborts (https://github.com/ray-project/ray/issues/65983), in which a busy machine
    does not start an agent.
    """
    from ray._private.services import start_ray_process
    from ray.cluster_utils import Cluster

    class OnGivenPorts(Cluster):
        def add_node(self, *args: Any, **given: Any) -> Any:
            return super().add_node(*args, **dict(zip(AGENTS, free_ports(len(AGENTS)), strict=True)), **given)

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore", ResourceWarning)
        patch.setattr("ray._private.node.time", SlowClock())
        patch.setattr("ray._private.services.start_ray_process", partial(start_told, start_ray_process))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = OnGivenPorts(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        try:
            yield made
        finally:
            made.shutdown()


def start_told(start: Any, command: list[str], kind: str, *args: Any, **given: Any) -> Any:
    """Start a process of Ray's; a raylet is told the agent's port, which else it only reads from a file."""
    told = re.findall(r"--listen-port=(\d+)", " ".join(command)) if kind == "raylet" else []
    flags = [f"--dashboard_agent_listen_port={port}" for port in told]
    return start([*command, *flags], kind, *args, **given)


def free_ports(count: int) -> list[int]:
    """Numbers of ports that nobody listened at just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]
