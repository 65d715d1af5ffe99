"""An extraction by processes that this one launches: it offers lots, counts results, replaces the dead."""

import logging
import time
from collections.abc import Generator, Hashable, Iterable, Iterator
from itertools import islice

from extract.executors.base import Executor, Launcher, NoPlace, Process, StoreNotShared, WorkersLost
from extract.executors.lots import cut
from extract.executors.shared_job import SharedJob, remove_dead_jobs
from extract.tasks import Outcome, Phases, Recipe, VideoTask
from store.durable.owner import temporary_name

logger = logging.getLogger(__name__)

OPEN_LOTS = 500
"""Offered ahead, so that a job of any size takes the same memory, and the same number of files."""

_LOTS_AT_ONCE = 100
_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 600.0
_DEATHS_IN_A_ROW = 6
_SAFE = "What was committed is safe; the same command continues."


class Driver(Executor):
    """By processes that a launcher starts; `phases` adds up over them.

    Where a process dies, another one takes the lots that it had leased. Once the processes of a place died
    six times without a finished lot in between, the others go on without that place.
    """

    def __init__(self, recipe: Recipe, launcher: Launcher) -> None:
        self.phases = Phases()
        self._recipe = recipe
        self._launcher = launcher

    def run(self, tasks: Iterable[VideoTask], listed: str = "") -> Generator[Outcome]:
        """See Executor. Raises NoPlace, WorkersLost, StoreNotShared, and any Problem that a process met."""
        fleet = _Fleet(self._launcher)
        remove_dead_jobs(self._recipe.store)
        job = SharedJob(self._recipe.store, temporary_name("job")).open()
        lots = cut(tasks)
        all_offered = False
        try:
            while (unfinished := job.unfinished()) or not all_offered:
                if unfinished < OPEN_LOTS and not all_offered:
                    offered = list(islice(lots, _LOTS_AT_ONCE))
                    for lot in offered:
                        job.publish(lot)
                    all_offered = len(offered) < _LOTS_AT_ONCE
                    if all_offered:
                        job.end_list(listed)
                else:
                    time.sleep(_POLL_SECONDS)
                fleet.tend(job)
                yield from self._outcomes(job, fleet)
            yield from self._outcomes(job, fleet)
        finally:
            fleet.stop()
            job.remove()

    def close(self) -> None:
        self._launcher.close()

    def _outcomes(self, job: SharedJob, fleet: "_Fleet") -> Iterator[Outcome]:
        for result in job.results():
            fleet.works(result.worker)
            for phase, seconds in result.seconds.items():
                self.phases.add(phase, seconds)
            yield from result.outcomes


class _Fleet:
    """A process for each place, as long as there is work for it."""

    def __init__(self, launcher: Launcher) -> None:
        """Raises NoPlace."""
        self._launcher = launcher
        self._running: dict[Hashable, Process] = {}
        self._deaths: dict[str, int] = {}
        self._working = time.monotonic()
        self._founders = set(launcher.places())
        if not self._founders:
            raise NoPlace(launcher.no_place)

    def works(self, place: str) -> None:
        """A process there has finished a lot, or refused a deadly video."""
        self._deaths[place] = 0

    def tend(self, job: SharedJob) -> None:
        """See to it that every place has a process, or as many as there are lots.

        Raises the Problem that a process met, NoPlace and WorkersLost.
        """
        for place, process in list(self._running.items()):
            if process.ended():
                del self._running[place]
                self._bury(place, process)
        lots = job.unfinished()
        places = self._launcher.places()
        for place in places:
            usable = self._deaths.get(str(place), 0) < _DEATHS_IN_A_ROW
            if usable and place not in self._running and len(self._running) < lots:
                self._running[place] = self._launcher.launch(place, job.name)
        if places and not self._running and lots:
            where = ", ".join(sorted(map(str, places)))
            raise WorkersLost(
                f"the processes on {where} died again and again: see the errors above, and whether memory is"
                f" short. {_SAFE}"
            )
        if self._running and job.has_workers():
            self._working = time.monotonic()
        waited = time.monotonic() - self._working
        if waited > _PATIENCE_SECONDS:
            raise NoPlace(
                f"no process could start in {waited / 60:.0f} minutes: {self._launcher.no_place}. {_SAFE}"
            )

    def stop(self) -> None:
        """End all processes; see Process."""
        for process in self._running.values():
            process.stop()
        for process in self._running.values():
            process.join()

    def _bury(self, place: Hashable, process: Process) -> None:
        problem = process.problem
        if isinstance(problem, StoreNotShared) and place not in self._founders:
            logger.warning("%s; it is left out", problem)
            self._deaths[str(place)] = _DEATHS_IN_A_ROW
        elif problem:
            raise problem
        elif process.death:
            self._deaths[str(place)] = self._deaths.get(str(place), 0) + 1
            logger.warning("the process on %s died (%s); its videos go to others", place, process.death)
