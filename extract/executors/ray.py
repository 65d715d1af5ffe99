"""Several machines: a task of a Ray cluster for each GPU, or each node, which lasts as long as the job.

Importing this module raises RayMissing where Ray is not installed.
"""

import logging
import os
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from config.errors import Problem
from extract.executors.errors import RayMissing
from extract.executors.places import Kind, Place, places
from extract.executors.worker import launched
from extract.tasks import Recipe

try:
    import ray
    from ray.exceptions import RayError, TaskCancelledError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise RayMissing(
        f"Ray is not installed ({error}): pip install --constraint constraints.txt -e '.[ray]', on every node"
    ) from None

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("config", "store", "extract")
_STOP_SECONDS = 10.0


class RayLauncher:
    """See Launcher; see `places` for where, and with how many CPUs.

    `address` as ray.init takes it: None is RAY_ADDRESS, the cluster that this machine is in, or one started
    here. Our own packages are sent to the nodes; all others must be installed there. Store and videos must
    lie under the same path on every node. Nodes that join are put to work.
    """

    def __init__(self, recipe: Recipe, address: str | None = None, kind: Kind = "auto") -> None:
        self._recipe = recipe
        self._kind: Kind = kind
        gpu = " and a GPU" if kind == "cuda" else ""
        self.no_place = f"expected nodes of the Ray cluster with a free CPU{gpu}; see `ray status`"
        # Where this process starts a cluster itself, it should not tell the makers of Ray.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
            runtime_env={"py_modules": [str(_ROOT / package) for package in _PACKAGES]},
        )

    def places(self) -> Sequence[Hashable]:
        """See Launcher."""
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return places(nodes, self._recipe.workers, self._kind)

    def launch(self, place: Hashable, job: str) -> "RayTask":
        """See Launcher."""
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
        """See Launcher."""
        ray.shutdown()


class RayTask:
    """See Process."""

    def __init__(self, result: Any) -> None:
        self._result = result
        self.problem: Problem | None = None
        self.death: str | None = None

    def ended(self) -> bool:
        """See Process."""
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
        """See Process."""
        with suppress(RayError):
            ray.cancel(self._result)

    def join(self) -> None:
        """See Process."""
        if not self._done(_STOP_SECONDS):
            # One that is only out of reach would go on extracting.
            with suppress(RayError):
                ray.cancel(self._result, force=True)

    def _done(self, seconds: float) -> bool:
        return bool(ray.wait([self._result], timeout=seconds)[0])
