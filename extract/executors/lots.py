"""Tasks in lots: what a runner takes at a time, and what becomes of it when the runner dies."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from extract.tasks import Outcome, Refused, VideoTask

MAX_BYTES = 256 << 20
MAX_VIDEOS = 256
"""Of a lot: minutes of work for a GPU, so that little is handed over when its runner dies."""

_LOTS_PER_RUNNER = 8
_LAST_LOTS_PER_RUNNER = 32
_DEATHS_OF_A_LOT = 3


@dataclass(frozen=True)
class Lot:
    """Videos that one runner extracts in one go. `deaths`: how many runners died of it, if they did."""

    tasks: tuple[VideoTask, ...]
    deaths: int = 0


def cut(
    tasks: Iterable[VideoTask], runners: int, max_bytes: int = MAX_BYTES, max_videos: int = MAX_VIDEOS
) -> list[Lot]:
    """Every task in one of about eight lots a runner, or more, the largest files first.

    The lots hold about equally many bytes, and ever fewer over the last quarter, so that all runners
    finish at about the same time. None holds more than `max_bytes` or `max_videos`, but a single video may.
    """
    waiting = deque(sorted(tasks, key=_weight, reverse=True))
    total = left = sum(map(_weight, waiting))
    lots = []
    while waiting:
        even, fair = total / (_LOTS_PER_RUNNER * runners), left / (2 * runners)
        wanted = min(max_bytes, max(min(even, fair), total / (_LAST_LOTS_PER_RUNNER * runners)))
        lot = [waiting.popleft()]
        held = _weight(lot[0])
        while waiting and len(lot) < max_videos and held + _weight(waiting[0]) <= wanted:
            held += _weight(waiting[0])
            lot.append(waiting.popleft())
        lots.append(Lot(tuple(lot)))
        left -= held
    return lots


def _weight(task: VideoTask) -> int:
    # A file whose size cannot be told still costs the time to find that out.
    return max(task.file_bytes, 1)


class LotQueue:
    """Lots on their way to runners and back: every video gets one outcome, whatever happens to the runners.

    Used by one thread: a lot that it takes is `finished`, `put_back`, or its runner `died`.
    """

    def __init__(self, lots: Sequence[Lot]) -> None:
        self._waiting = deque(lots)
        self._out: set[Lot] = set()
        self._tasks = {task.video: task for lot in lots for task in lot.tasks}
        self._outcomes: dict[str, Outcome] = {}

    def __len__(self) -> int:
        """How many lots wait to be taken."""
        return len(self._waiting)

    @property
    def done(self) -> bool:
        """Whether every lot is finished."""
        return not self._waiting and not self._out

    @property
    def videos(self) -> int:
        """How many videos are in lots that are not finished."""
        return sum(len(self._undecided(lot)) for lot in (*self._waiting, *self._out))

    def take(self) -> Lot | None:
        """The next lot, or None if none waits."""
        if not self._waiting:
            return None
        lot = self._waiting.popleft()
        self._out.add(lot)
        return lot

    def new(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Those that are the first of their video: what a dead runner did not commit is done once more."""
        fresh = []
        for outcome in outcomes:
            task = self._tasks[outcome.task.video]
            if task.video not in self._outcomes:
                self._outcomes[task.video] = replace(outcome, task=task)
                fresh.append(self._outcomes[task.video])
        return fresh

    def finished(self, lot: Lot) -> None:
        """The lot's features are committed."""
        self._out.remove(lot)

    def put_back(self, lot: Lot) -> None:
        """The lot's runner is gone for no fault of the lot's: it waits again, before the others."""
        self._out.remove(lot)
        self._waiting.appendleft(replace(lot, tasks=self._undecided(lot)))

    def died(self, lot: Lot) -> Refused | None:
        """The lot's runner died in the midst of it: the lot waits again, after the others.

        One that three runners died of is cut into single videos, so that the others get through. A single
        video that two more died of is given up: the refusal is returned, to be recorded.
        """
        self._out.remove(lot)
        deaths, tasks = lot.deaths + 1, self._undecided(lot)
        if deaths < _DEATHS_OF_A_LOT:
            self._waiting.append(Lot(tasks, deaths))
        elif len(tasks) > 1:
            self._waiting.extend(Lot((task,), deaths=1) for task in tasks)
        elif tasks:
            reason = "process after process died while it was extracted; encode it again, or leave it out"
            return Refused(tasks[0], "crash", f"{tasks[0].path}: {reason}")
        return None

    def _undecided(self, lot: Lot) -> tuple[VideoTask, ...]:
        # Refusals are recorded at once; the features of an extracted video may not have been committed.
        return tuple(t for t in lot.tasks if not isinstance(self._outcomes.get(t.video), Refused))
