"""What runs in an actor of a Ray cluster."""

import time
from collections.abc import Generator
from pathlib import Path

from config.errors import Problem
from extract.executors.errors import StoreNotShared
from extract.executors.lots import Lot
from extract.executors.runner import Ready, Report, Runner
from extract.tasks import Recipe

_TOKEN_SECONDS = 5.0


class RayRunner:
    """What runs in an actor: a Runner that first makes sure that its node sees the store."""

    def __init__(self, recipe: Recipe, device: str, host: str) -> None:
        self._recipe = recipe
        self._device = device
        self._host = host
        self._runner: Runner | None = None

    def start(self, token: Path | None) -> Ready | Problem:
        """Load the encoders. `token`: a file that the driver has just written into the store's folder."""
        deadline = time.monotonic() + _TOKEN_SECONDS
        while token is not None and not token.exists():
            if time.monotonic() > deadline:
                return StoreNotShared(
                    f"the node {self._host} does not see {token.parent}: expected store.path to be a folder "
                    "that every node of the cluster has under the same name, such as one on NFS or Lustre"
                )
            time.sleep(0.1)
        try:
            self._runner = Runner(self._recipe, self._device)
        except Problem as problem:
            return problem
        return self._runner.ready

    def extract(self, lot: Lot) -> Generator[Report]:
        """See Runner.extract."""
        if self._runner is None:
            raise RuntimeError("start() comes before extract()")
        yield from self._runner.extract(lot)
