"""Several machines: an actor of a Ray cluster for each GPU, or each node, which takes lot after lot.

Importing this module raises RayMissing where Ray is not installed.
"""

import logging
import os
import time
import uuid
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from config.errors import Problem
from extract.executors.actor import RayRunner
from extract.executors.errors import NoRayNodes, RayMissing, RunnersLost, StoreNotShared
from extract.executors.lots import Lot, LotQueue, cut
from extract.executors.places import Kind, Place, places
from extract.executors.runner import Finished, Ready, Report, record
from extract.tasks import Outcome, Recipe, VideoTask
from extract.timing import Phases
from store.features import FeatureSet
from store.remote.place import is_url

try:
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise RayMissing(
        f"Ray is not installed ({error}): pip install --constraint constraints.txt -e '.[ray]', on every node"
    ) from None

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("config", "store", "extract")
_CHECK_SECONDS = 2.0
_PATIENCE_SECONDS = 600.0
_DEATHS_IN_A_ROW = 6


@dataclass
class _Actor:
    handle: Any
    starting: Any
    lots: deque[tuple[Lot, Any]] = field(default_factory=deque)
    """The lot that it works on and the one after it, with the streams of their reports."""

    @property
    def awaited(self) -> Any:
        """What to wait for, or None."""
        return self.starting or (self.lots[0][1] if self.lots else None)


class RayExecutor:
    """Extracts on all machines of a Ray cluster: see `places` for where and with how many CPUs.

    `address` as ray.init takes it: None is RAY_ADDRESS, the cluster that this machine is in, or one started
    here. Our own packages are sent to the nodes; all others must be installed there. Store and videos must
    lie under the same path on every node. Videos of a node that dies go to other ones; nodes that join are
    put to work. `phases` adds up over the actors.
    """

    def __init__(self, recipe: Recipe, address: str | None = None, kind: Kind = "auto") -> None:
        self.phases = Phases()
        self._recipe = recipe
        self._kind: Kind = kind
        self._actors: dict[Place, _Actor] = {}
        self._deaths: Counter[Place] = Counter()
        self._sets: dict[str, FeatureSet] = {}
        self._checked = self._last_ready = 0.0
        # Where this executor starts a cluster itself, it should not tell the makers of Ray.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
            runtime_env={"py_modules": [str(_ROOT / package) for package in _PACKAGES]},
        )
        self._founders = set(self._places())
        # Object storage is where it is; a folder may be another one on another node.
        self._token = None if is_url(recipe.store) else recipe.store / f".seen-by-all-{uuid.uuid4().hex}"

    def run(self, tasks: Sequence[VideoTask]) -> Generator[Outcome]:
        """One outcome for each task, as they come; all is committed when they end.

        Raises NoRayNodes, RunnersLost, StoreNotShared, and any Problem that an actor met.
        """
        if not self._founders:
            raise NoRayNodes(
                f"the Ray cluster has no node to extract on: expected one with a CPU"
                f"{' and a GPU' if self._kind == 'cuda' else ''}; see `ray status`"
            )
        queue = LotQueue(cut(tasks, len(self._founders)))
        if self._token is not None:
            self._token.parent.mkdir(parents=True, exist_ok=True)
            self._token.touch()
        self._last_ready = time.monotonic()
        try:
            while not queue.done:
                self._start_actors(queue)
                self._supply(queue)
                for place in self._heard():
                    yield from self._listen(place, queue)
        finally:
            if self._token is not None:
                self._token.unlink(missing_ok=True)
            if not queue.done:
                self._kill_actors()

    def close(self) -> None:
        """Leave the cluster. Actors that are at work lose what they have not committed."""
        self._kill_actors()
        ray.shutdown()

    def _places(self) -> list[Place]:
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return places(nodes, self._recipe.workers, self._kind)

    def _start_actors(self, queue: LotQueue) -> None:
        now = time.monotonic()
        if now - self._checked < _CHECK_SECONDS:
            return
        self._checked = now
        ready = [actor for actor in self._actors.values() if actor.starting is None]
        if ready:
            self._last_ready = now
        if len(queue) > sum(not actor.lots for actor in ready):
            there = self._places()
            for place in there:
                if place not in self._actors and self._deaths[place] < _DEATHS_IN_A_ROW:
                    self._actors[place] = self._start(place)
            self._check_hope(there, queue.videos, now)

    def _check_hope(self, there: list[Place], videos: int, now: float) -> None:
        rest = f"with {videos} videos to go. What was committed is safe; the same command continues."
        if there and not self._actors:
            hosts = ", ".join(sorted({place.host for place in there}))
            raise RunnersLost(f"the actors on {hosts} died again and again, {rest}")
        if now - self._last_ready > _PATIENCE_SECONDS:
            minutes = round(_PATIENCE_SECONDS / 60)
            raise NoRayNodes(
                f"for {minutes} minutes no node had room or could load the encoders (`ray status`), {rest}"
            )

    def _start(self, place: Place) -> _Actor:
        recipe = replace(self._recipe, workers=place.workers)
        on_node = NodeAffinitySchedulingStrategy(place.node, soft=False)
        actor: Any = ray.remote(RayRunner).options(
            num_cpus=place.cpus, num_gpus=place.gpus, scheduling_strategy=on_node
        )
        handle: Any = actor.remote(recipe, place.device, place.host)
        return _Actor(handle, handle.start.remote(self._token))

    def _supply(self, queue: LotQueue) -> None:
        for actor in self._actors.values():
            # A second lot, so that none waits for the driver; but not towards the end, when others lack one.
            wanted = 2 if len(queue) > len(self._actors) else 1
            while actor.starting is None and len(actor.lots) < wanted and (lot := queue.take()):
                reports = actor.handle.extract.options(num_returns="streaming").remote(lot)
                actor.lots.append((lot, reports))

    def _heard(self) -> list[Place]:
        """The places that have something to tell, after waiting for them for a while."""
        awaited = {actor.awaited: place for place, actor in self._actors.items() if actor.awaited is not None}
        if not awaited:
            time.sleep(_CHECK_SECONDS)
            return []
        ready, _ = ray.wait(list(awaited), num_returns=1, timeout=_CHECK_SECONDS)
        return [awaited[one] for one in ready]

    def _listen(self, place: Place, queue: LotQueue) -> Iterator[Outcome]:
        actor = self._actors[place]
        try:
            report: Report = ray.get(actor.starting or next(actor.lots[0][1]))
        except RayError as error:
            yield from self._bury(place, error, queue)
            return
        if isinstance(report, Problem):
            self._tell(report, place)
        elif isinstance(report, Ready):
            self._sets, actor.starting = report.sets, None
        elif isinstance(report, Finished):
            lot, _ = actor.lots.popleft()
            queue.finished(lot)
            self._deaths[place] = 0
            for phase, seconds in report.seconds.items():
                self.phases.add(phase, seconds)
        else:
            yield from queue.new(report)

    def _tell(self, problem: Problem, place: Place) -> None:
        """Raise the problem; but a node that joined later and lacks the store is only left out."""
        if not isinstance(problem, StoreNotShared) or place in self._founders:
            raise problem
        logger.warning("%s; it is left out", problem)
        self._deaths[place] = _DEATHS_IN_A_ROW
        ray.kill(self._actors.pop(place).handle)

    def _bury(self, place: Place, error: RayError, queue: LotQueue) -> Iterator[Outcome]:
        dead = self._actors.pop(place)
        self._deaths[place] += 1
        logger.warning("%s: its actor died; its videos go to others: %s", place.host, error)
        # One that is only out of reach would go on extracting.
        with suppress(RayError):
            ray.kill(dead.handle)
        lots = [lot for lot, _ in dead.lots]
        for lot in lots[1:]:
            queue.put_back(lot)
        refused = queue.died(lots[0]) if lots else None
        if refused:
            record(refused, self._sets)
            yield from queue.new([refused])

    def _kill_actors(self) -> None:
        actors, self._actors = list(self._actors.values()), {}
        for actor in actors:
            with suppress(RayError):
                ray.kill(actor.handle)
