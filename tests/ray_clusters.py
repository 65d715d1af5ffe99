"""A real Ray cluster of several nodes, all on this machine."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def ray_cluster() -> Iterator[Any]:
    """A head without CPUs; the tests add the nodes that work."""
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore", ResourceWarning)
        patch.setattr("ray._private.node.time", SlowClock())
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        try:
            yield made
        finally:
            made.shutdown()
