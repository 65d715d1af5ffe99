"""A job that several processes share: its videos in lots, in files of the store's folder, leased lot by lot.

.jobs/NAME/
    open                        the job is here: whoever sees it sees the store
    lot-00000017                tasks that nobody has finished; see `cut`
    lot-00000017.lease-0        who is at it; see store.leases
    done-lot-00000017           what became of them, for the process that launched the others
    listed                      all lots are there, with a digest of the job's videos
    proven                      a process has finished a lot: the machines can extract
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from config.errors import Problem
from extract.executors.lots import Lot, Result, cut
from extract.tasks import Outcome, VideoTask
from store.durable.owner import is_temporary
from store.files import Files, files_at
from store.files.litter import FOREIGN_HOURS, remove_litter
from store.leases import Lease, Leases, leased

_JOBS = ".jobs"
_POLL_SECONDS = 0.5


class OtherJob(Problem):
    """A job of this name is under way, and it is another one."""


@dataclass(frozen=True)
class Claim:
    """A lot that this process has. `deadly`: its one video has cost as many processes as it may."""

    lot: Lot
    lease: Lease
    deadly: bool = False


class SharedJob:
    """The files of a job: whoever has the list publishes lots; whoever extracts claims and finishes them.

    `worker`: how this process signs its results; without it, nobody is waiting for them.
    """

    def __init__(self, store: Path, name: str, worker: str = "") -> None:
        self.name = name
        self.files: Files = files_at(store, f"{_JOBS}/{name}", durable=False)
        self._worker = worker
        self._candidates: deque[str] = deque()
        self._held: set[str] = set()
        self._listed_here = False
        self._proven = False

    def open(self) -> Self:
        """Make the job's folder."""
        self.files.make()
        self.files.write("open", b"")
        return self

    def publish(self, lot: Lot) -> None:
        """Offer a lot to everyone."""
        self.files.write(lot.name, lot.content())

    def publish_all(self, tasks: Iterable[VideoTask], listed: str, leases: Leases) -> None:
        """Offer all, unless other processes have. `listed`: a digest of the list.

        What processes left that have all died is taken up where their list was this one, or else removed.
        Raises OtherJob where one of them is alive, at another list.
        """
        while (lease := leases.take("list")) is None:
            time.sleep(_POLL_SECONDS)
        try:
            before = self.files.read("listed")
            new = before is None or not self.unfinished()
            if before is not None and not new and before.decode() != listed:
                if leases.others_alive():
                    raise OtherJob(
                        f"{self.files.location}: a job of this name is under way, with {before.decode()};"
                        f" this one has {listed}. Give this one another name, or wait until that one is over."
                    )
                new = True
            if new:
                self.files.remove(
                    *(name for name in self.files.names() if name.startswith(("lot-", "done-")))
                )
            for lot in cut(tasks):
                if new:
                    self.publish(lot)
            if new:
                self.end_list(listed)
        finally:
            leases.release(lease)
        self._listed_here = True

    def end_list(self, listed: str = "") -> None:
        """All lots have been published."""
        self.files.write("listed", listed.encode())

    def results(self) -> Iterator[Result]:
        """What has become of lots; each result is given once."""
        for name in self.files.names():
            if name.startswith("done-") and (content := self.files.read(name)):
                self.files.remove(name)
                yield Result.parse(content)

    def unfinished(self) -> int:
        """How many lots are offered, or being extracted."""
        return sum(map(_is_lot, self.files.names()))

    def has_workers(self) -> bool:
        """Whether a process has loaded its encoders and looks for lots."""
        return any(name.startswith("worker.") for name in self.files.names())

    def remove(self) -> None:
        """Remove the job's folder."""
        self.files.remove_all()
        self.files.remove_empty()

    def leave(self) -> None:
        """A process that has seen all be finished goes; the last one removes the folder."""
        self.files.remove("listed", "proven")
        self.files.remove_empty()

    @property
    def over(self) -> bool:
        """Whether every lot is finished, or the job was given up."""
        return self._seems_over() and self._seems_over()

    @property
    def proven(self) -> bool:
        """Whether a process has finished a lot: if not, it may be the machine that kills them."""
        self._proven = self._proven or self.files.read("proven") is not None
        return self._proven

    def claim(self, leases: Leases) -> Claim | None:
        """A lot that nobody is at; None if there is none now. One that was deadly is taken apart."""
        for name in self._offered():
            lease = leases.take(name)
            if lease is None:
                continue
            content = self.files.read(name)
            if content is None:
                leases.release(lease)
                continue
            claim = Claim(Lot.parse(name, content), lease)
            if lease.takeovers < claim.lot.deaths:
                self._held.add(name)
                return claim
            if len(claim.lot.tasks) == 1:
                self._held.add(name)
                return replace(claim, deadly=True)
            for lot in claim.lot.apart():
                self.publish(lot)
            self._drop(claim, leases)
        return None

    def finish(
        self, claim: Claim, leases: Leases, outcomes: list[Outcome], seconds: dict[str, float]
    ) -> None:
        """All of the lot is in the store."""
        # Unless another process did it too, and was faster.
        if self._worker and self.files.read(claim.lot.name) is not None:
            self.files.write(f"done-{claim.lot.name}", Result(self._worker, outcomes, seconds).content())
        if not claim.deadly and not self.proven:
            self.files.write("proven", b"")
        self._drop(claim, leases)

    def give_back(self, claim: Claim, leases: Leases) -> None:
        """Leave the lot to others."""
        self._held.discard(claim.lot.name)
        leases.abandon(claim.lease)

    def _seems_over(self) -> bool:
        """A folder that changes while it is listed may show neither of two files that follow each other."""
        names = self.files.names()
        if self._listed_here:
            return not any(map(_is_lot, names))
        return "open" not in names or ("listed" in names and not any(map(_is_lot, names)))

    def _offered(self) -> Iterator[str]:
        """Lots that nobody has; where there is none, those of others, who may have died."""
        for again in (False, True):
            while self._candidates:
                yield self._candidates.popleft()
            names = self.files.names()
            lots = [name for name in names if _is_lot(name) and name not in self._held]
            taken = leased(names)
            free = [name for name in lots if name not in taken]
            if again and not free:
                yield from lots
            self._candidates.extend(free)

    def _drop(self, claim: Claim, leases: Leases) -> None:
        self.files.remove(claim.lot.name)
        leases.release(claim.lease)
        self._held.discard(claim.lot.name)


def remove_dead_jobs(store: Path) -> None:
    """Remove what jobs left whose processes have all died.

    At once where this machine can tell, else when it has not changed for a day.
    """
    jobs = files_at(store, _JOBS)
    remove_litter(jobs)
    for job in jobs.names():
        if not is_temporary(job) and time.time() - jobs.last_change(job) > FOREIGN_HOURS * 3600:
            jobs.remove_all(job)


def _is_lot(name: str) -> bool:
    return name.startswith("lot-") and ".lease-" not in name
