"""The one loop of every process that shares a job: lease lots, extract, commit, let go; until all is done."""

import socket
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, fields

from config.errors import Problem
from extract.executors.base import StoreNotShared
from extract.executors.shared_job import Claim, SharedJob
from extract.run.extractor import Extractor
from extract.run.recorder import quarantine
from extract.tasks import Extracted, Outcome, Recipe, Refused, VideoTask
from extract.video.decode import VideoInfo
from store.features import FeatureSet
from store.leases import Leases

_POLL_SECONDS = 0.5
"""Between looks for lots, while others have them all."""

_SEE_SECONDS = 10.0


def launched(recipe: Recipe, device: str, job: str, worker: str) -> Problem | None:
    """What a process does that an executor launched: its share of the job, or a Problem for a person.

    `worker`: how it signs its results.
    """
    shared = SharedJob(recipe.store, job, worker)
    try:
        _require_seen(shared)
        with Extractor(recipe, device) as extractor, closing(Leases(shared.files)) as leases:
            deque(work(extractor, shared, leases), maxlen=0)
    except Problem as problem:
        return problem
    return None


def work(extractor: Extractor, job: SharedJob, leases: Leases) -> Generator[Outcome]:
    """Extract lots until none is left, by this process or by another; this one's outcomes, as they come.

    A lot is let go when it is committed, and commits come when they are due (see Recipe), whatever lots there
    are. One that a process died with is extracted alone, so that a deadly video harms no other. When the
    iterator is closed, what is finished is committed, and the rest left to others. Raises what
    Extractor.extract and store.files raise.
    """
    while not job.over:
        extractor.check()  # a machine that cannot extract finds out before it takes anything
        share = _Share(extractor, job, leases)
        with closing(share.run()) as outcomes:
            yield from outcomes
        if not share.began:
            time.sleep(_POLL_SECONDS)


@dataclass(eq=False)
class _Taken:
    """A lot that is being extracted, and the outcomes that have come."""

    claim: Claim
    outcomes: list[Outcome] = field(default_factory=list)


class _Share:
    """Lot after lot, until there is none that is free."""

    def __init__(self, extractor: Extractor, job: SharedJob, leases: Leases) -> None:
        self._extractor = extractor
        self._job = job
        self._leases = leases
        self._lot_of: dict[str, _Taken] = {}
        self._complete: deque[_Taken] = deque()
        self._committed: deque[_Taken] = deque()
        self._seconds = dict(extractor.phases.seconds)
        self.began = False

    def run(self) -> Generator[Outcome]:
        """See `work`."""
        try:
            with closing(self._extractor.extract(self._tasks(), self._on_commit)) as outcomes:
                for outcome in outcomes:
                    self._add(outcome)
                    self._finish_committed()
                    yield outcome
        finally:
            self._finish_committed()
            for taken in {*self._lot_of.values(), *self._complete}:
                self._job.give_back(taken.claim, self._leases)

    def _tasks(self) -> Iterator[VideoTask]:
        while claim := self._job.claim(self._leases):
            if claim.deadly and self._is_settled(claim):
                continue
            alone = claim.lease.takeovers > 0
            if alone and self.began:
                self._job.give_back(claim, self._leases)
                return
            self.began = True
            self._lot_of |= dict.fromkeys((task.video for task in claim.lot.tasks), _Taken(claim))
            yield from claim.lot.tasks
            if alone:
                return

    def _add(self, outcome: Outcome) -> None:
        taken = self._lot_of.pop(outcome.task.video)
        taken.outcomes.append(outcome)
        if len(taken.outcomes) == len(taken.claim.lot.tasks):
            self._complete.append(taken)

    def _on_commit(self) -> None:
        # In the thread that writes: outcomes that have come were written before this commit began.
        while self._complete:
            self._committed.append(self._complete.popleft())

    def _finish_committed(self) -> None:
        while self._committed:
            taken = self._committed.popleft()
            now, before = dict(self._extractor.phases.seconds), self._seconds
            self._seconds = now
            seconds = {phase: spent - before.get(phase, 0.0) for phase, spent in now.items()}
            self._job.finish(taken.claim, self._leases, taken.outcomes, seconds)

    def _is_settled(self, claim: Claim) -> bool:
        """Refuse the video, unless a process had recorded it before it died.

        False where no process has finished anything yet: the video may be as good as others.
        """
        (task,) = claim.lot.tasks
        outcome = recorded(task, self._extractor.sets)
        if outcome is None:
            if not self._job.proven:
                return False
            advice = "encode it again, or leave it out"
            reason = f"{task.path}: process after process died while it was extracted; {advice}"
            outcome = quarantine(Refused(task, "crash", reason), self._extractor.sets)
        self._job.finish(claim, self._leases, [outcome], {})
        return True


def recorded(task: VideoTask, sets: Mapping[str, FeatureSet]) -> Outcome | None:
    """What the store says of a video whose process died before it could report; None if it says nothing."""
    # Sets of their own, as another thread may be writing to these.
    own = [sets[name] for name in task.encoders]
    fresh = [FeatureSet(each.files, each.dataset, each.encoder, each.specification) for each in own]
    size = 0
    for features in fresh:
        features.refresh()
        for entry in features.quarantine.entries():
            if entry.video == task.video:
                return Refused(task, entry.error_type, entry.reason)
        if task.video not in features or task.refresh:
            return None
        for stream, shape in features.streams.items():
            size += features.length(task.video, stream) * shape.item_bytes
    meta = fresh[0].meta(task.video)
    known = {field.name: meta[field.name] for field in fields(VideoInfo)}
    return Extracted(
        task, VideoInfo(**{**known, "warnings": tuple(meta["warnings"])}), meta.get("file_bytes", 0), size
    )


def _require_seen(job: SharedJob) -> None:
    deadline = time.monotonic() + _SEE_SECONDS
    while job.files.read("open") is None:
        if time.monotonic() > deadline:
            raise StoreNotShared(
                f"the machine {socket.gethostname()} does not see {job.files.location}: expected store.path"
                " to be a folder that every machine has under the same name, such as one on NFS or Lustre"
            )
        time.sleep(0.1)
