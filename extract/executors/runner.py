"""What a process that extracts for another one does: lot after lot, telling what becomes of the videos."""

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from typing import Any

from config.errors import Problem
from extract.executors.lots import Lot
from extract.run.extractor import Extractor
from extract.tasks import Extracted, Outcome, Recipe, Refused, VideoTask
from extract.video.decode import VideoInfo
from store.features import FeatureSet

_REPORT_SECONDS = 0.5


@dataclass(frozen=True)
class Ready:
    """The encoders are loaded. `sets`: encoder name → its feature set."""

    sets: dict[str, FeatureSet]


@dataclass(frozen=True)
class Finished:
    """All of the lot is committed. `seconds`: of each phase, spent on it."""

    seconds: dict[str, float]


Report = Ready | Finished | Problem | list[Outcome]
"""What a runner tells. A Problem is one that a person must put right: every other runner would meet it."""


class Runner:
    """One device's share of a job, lot by lot. Raises what Extractor raises."""

    def __init__(self, recipe: Recipe, device: str) -> None:
        self._extractor = Extractor(recipe, device)
        self.ready = Ready(dict(self._extractor.sets))

    def extract(self, lot: Lot) -> Generator[Report]:
        """Outcomes about twice a second, and Finished at the end; or a Problem, and nothing after it."""
        before = dict(self._extractor.phases.seconds)
        report: list[Outcome] = []
        reported = time.monotonic()
        try:
            with closing(self._outcomes(lot.tasks)) as outcomes:
                for outcome in outcomes:
                    report.append(outcome)
                    if time.monotonic() - reported > _REPORT_SECONDS:
                        yield report
                        report, reported = [], time.monotonic()
        except Problem as problem:
            yield problem
            return
        yield report
        after = self._extractor.phases.seconds
        yield Finished({phase: seconds - before.get(phase, 0.0) for phase, seconds in after.items()})

    def close(self) -> None:
        """End the decode workers."""
        self._extractor.close()

    def _outcomes(self, tasks: Sequence[VideoTask]) -> Generator[Outcome]:
        for features in self._extractor.sets.values():
            features.refresh()
        missing = []
        for task in tasks:
            sets = self._extractor.sets
            encoders = tuple(n for n in task.encoders if task.refresh or task.video not in sets[n])
            if encoders:
                missing.append(replace(task, encoders=encoders))
            else:
                yield stored_outcome(task, self._extractor.sets)
        yield from self._extractor.extract(missing)


def record(refused: Refused, sets: Mapping[str, FeatureSet]) -> None:
    """Put a video that killed its runners into quarantine, on the runners' behalf."""
    task = refused.task
    for name in task.encoders:
        sets[name].quarantine.add(task.video, refused.message, refused.kind, str(task.path))


def stored_outcome(task: VideoTask, sets: Mapping[str, FeatureSet]) -> Extracted:
    """The outcome of a video that the store has: its runner died before it could tell."""
    features = [sets[name] for name in task.encoders]
    size = sum(
        one.length(task.video, stream) * shape.item_bytes
        for one in features
        for stream, shape in one.streams.items()
    )
    return Extracted(task, _info(features[0].meta(task.video)), size)


def _info(meta: Mapping[str, Any]) -> VideoInfo:
    known = {field.name: meta[field.name] for field in fields(VideoInfo)}
    return VideoInfo(**{**known, "warnings": tuple(meta["warnings"])})
