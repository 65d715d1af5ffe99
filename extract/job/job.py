"""The batch job: videos to feature sets in the store, resumable, whatever single videos do."""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from itertools import islice
from types import MappingProxyType
from typing import Any
from zlib import crc32

from tqdm import tqdm

from config.errors import Problem
from config.interruption import stops_on_sigterm
from extract.encoders.base import Encoder
from extract.executors.base import Executor
from extract.job.stored import Stored, StoredVideos
from extract.job.summary import ExtractionSummary, Refusal, progress_bar
from extract.location import Location
from extract.run.extractor import feature_sets
from extract.run.reference import check_references
from extract.tasks import Recipe, VideoTask
from extract.workers.pool import cores

_NAMED = 5
_BLOCK = 1024
"""Videos that are looked up at a time: their files are asked for by several threads."""


class OutdatedFeatures(Problem):
    """The store has features of videos that were replaced since, or that an encoder would give otherwise."""

    def __init__(self, outdated: Mapping[str, str]) -> None:
        named = ", ".join(f"{video} ({why})" for video, why in list(outdated.items())[:_NAMED])
        more = f" and {len(outdated) - _NAMED} more" if len(outdated) > _NAMED else ""
        super().__init__(
            f"the stored features of {len(outdated)} videos do not hold any more: {named}{more};"
            " add --refresh to extract them again"
        )


class NothingExtracted(Problem):
    """Not one of the videos that were asked for has features."""


def default_workers(models_on_cpu: bool, devices: int = 1) -> int:
    """Decode processes for each device: one a core, or a single one where models run on those cores."""
    return 1 if models_on_cpu else max(1, cores() // devices)


class ExtractionJob:
    """Extracts the encoders' features of some videos into a store.

    Only what the store lacks is computed: a video goes through the encoders that miss it, in one decode
    pass. A video in quarantine is skipped. What is outdated is said, and computed anew with `refresh`.
    `sets`: encoder → its feature set.
    """

    def __init__(
        self,
        recipe: Recipe,
        encoders: Mapping[str, Encoder],
        spared: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> None:
        """`encoders`: those of the recipe, on any device; `spared`: video → those that need not see it.

        Raises StoreError.
        """
        self._encoders = encoders
        self._spared = spared
        self._largest_gap_seconds = recipe.largest_gap_seconds
        self._outdated: set[str] = set()
        self._asked: dict[str, str] = {}
        """Id of the store → the other one under which the video was asked for."""
        self.sets = feature_sets(recipe, encoders)

    def pending(
        self, videos: Mapping[str, Location], *, retry_quarantined: bool = False, refresh: bool = False
    ) -> list[VideoTask]:
        """For each of the videos (id → where), in their order, the encoders that it still needs.

        With `refresh`, those too whose features are outdated; with `retry_quarantined`, those that refused
        it. A video of which an encoder's features are stored under another spelling keeps that id for the
        other encoders, whose features would not meet otherwise. Where it has two ids, there are two tasks.
        """
        blocks = self._blocks(videos, retry_quarantined, refresh)
        return [task for block in blocks for task in block if task.encoders]

    def refused(self, encoder: str) -> dict[str, Refusal]:
        """Video, as it was asked for, → why it is in the encoder's quarantine."""
        return {
            self._asked.get(entry.video, entry.video): Refusal(entry.error_type, entry.reason)
            for entry in self.sets[encoder].quarantine.entries()
        }

    def spared(self, encoder: str) -> set[str]:
        """The videos that the encoder need not see."""
        return {video for video, names in self._spared.items() if encoder in names}

    def stores_any(self, videos: Mapping[str, Location]) -> bool:
        """Whether there are features of any of the videos, which `run` was about."""
        ids = (videos, self._asked)
        return any(video in one for one in self.sets.values() for known in ids for video in known)

    def run(
        self,
        videos: Mapping[str, Location],
        executor: Executor,
        *,
        retry_quarantined: bool = False,
        refresh: bool = False,
        quiet: bool = False,
    ) -> ExtractionSummary:
        """Extract what is missing of the videos (id → where), in their order; see `pending`.

        An interruption, by Ctrl-C or SIGTERM, keeps the videos that were finished. Raises ChangedNumbers
        where an encoder gives other numbers than the store has of it, and what the executor raises.
        """
        started = time.perf_counter()
        if refresh:
            check_references(self._encoders, self.sets, refresh=True)
        summary = ExtractionSummary()
        with progress_bar(len(videos), quiet) as bar:
            blocks = self._blocks(videos, retry_quarantined, refresh)
            tasks = self._watched(blocks, summary, bar, retry_quarantined)
            with stops_on_sigterm(), closing(executor.run(tasks, self._digest(videos))) as outcomes:
                for outcome in outcomes:
                    summary.add(outcome)
                    progress = summary.progress(len(videos), time.perf_counter() - started)
                    bar.set_postfix_str(progress, refresh=False)
                    bar.update()
        self._sum_up(summary, videos)
        summary.seconds = round(time.perf_counter() - started, 3)
        summary.phase_seconds = {name: round(value, 3) for name, value in executor.phases.seconds.items()}
        summary.device_busy_share = executor.phases.busy_share
        return summary

    def _blocks(
        self, videos: Mapping[str, Location], retry_quarantined: bool, refresh: bool
    ) -> Iterator[list[VideoTask]]:
        """Tasks for some of the videos at a time; a video that needs nothing has one without encoders."""
        refused = {
            name: {entry.video for entry in features.quarantine.entries()}
            for name, features in self.sets.items()
            if not retry_quarantined
        }
        views = {name: StoredVideos(features, videos) for name, features in self.sets.items()}
        items = iter(videos.items())
        while block := dict(islice(items, _BLOCK)):
            stored = {name: view.look_up(block) for name, view in views.items()}
            self._outdated.update(*(have.outdated for have in stored.values()))
            yield [
                task
                for video, location in block.items()
                for task in self._tasks(video, location, stored, refused, refresh)
            ]

    def _tasks(
        self,
        video: str,
        location: Location,
        stored: Mapping[str, Stored],
        refused: Mapping[str, set[str]],
        refresh: bool,
    ) -> Iterator[VideoTask]:
        """A task for each id that the video's features go under."""
        usual = next((have.ids[video] for have in stored.values() if video in have.ids), video)
        if usual != video:
            self._asked[usual] = video
        outdated = {name for name, have in stored.items() if refresh and video in have.outdated}
        ids = {
            name: have.ids.get(video, usual)
            for name, have in stored.items()
            if name in outdated
            or (
                video not in have.ids
                and name not in self._spared.get(video, ())
                and not {video, usual} & refused.get(name, set())
            )
        }
        for identity in dict.fromkeys(ids.values() or [usual]):
            encoders = tuple(name for name, own in ids.items() if own == identity)
            anew = not outdated.isdisjoint(encoders)
            yield VideoTask(identity, location, encoders, self._largest_gap_seconds, anew)

    def _watched(
        self, blocks: Iterator[list[VideoTask]], summary: ExtractionSummary, bar: "tqdm[Any]", retry: bool
    ) -> Iterator[VideoTask]:
        """The tasks; those that need nothing are counted, what is tried again leaves the quarantine."""
        refused = {name: {e.video for e in s.quarantine.entries()} for name, s in self.sets.items()}
        for block in blocks:
            for name, features in self.sets.items():
                again = {task.video for task in block if retry or name in task.encoders}
                again |= {self._asked[video] for video in again if video in self._asked}
                if again & refused[name]:
                    features.quarantine.remove(again)
            for task in block:
                if not task.encoders:
                    ids = {task.video, self._asked.get(task.video, task.video)}
                    summary.already += all(ids.isdisjoint(names) for names in refused.values())
                    bar.update()
                yield task

    def _sum_up(self, summary: ExtractionSummary, videos: Mapping[str, Location]) -> None:
        """Add what the store has now."""
        for name, features in self.sets.items():
            features.refresh()
            refused = {v: why for v, why in sorted(self.refused(name).items()) if v in videos}
            summary.quarantined |= refused
            summary.feature_sets[name] = {"key": features.key, "path": features.location}
            before = {video: videos[video] for video in sorted(self._outdated)}
            summary.outdated |= StoredVideos(features, before).look_up(before).outdated
        summary.with_warnings = dict(sorted(summary.with_warnings.items()))

    def _digest(self, videos: Mapping[str, Location]) -> str:
        """How many videos there are, and a checksum of their ids and places."""
        checksum = crc32(f"{self._largest_gap_seconds}".encode())
        for video, location in videos.items():
            checksum = crc32(f"{video}\0{location}\n".encode("utf-8", "surrogatepass"), checksum)
        return f"{len(videos)} videos ({checksum:08x})"
