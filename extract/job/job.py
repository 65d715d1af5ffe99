"""The batch job: videos to feature sets in the store, resumable, whatever single videos do."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Any

from tqdm import tqdm

from config.errors import Problem
from config.interruption import stops_on_sigterm
from extract.encoders.base import Encoder
from extract.executors.base import Executor
from extract.job.stored import Stored, StoredVideos
from extract.job.summary import ExtractionSummary, Refusal, progress_bar
from extract.location import Location, size_bytes
from extract.run.reference import check_references
from extract.tasks import Recipe, VideoTask
from store.features import FeatureSet, FeatureStore

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
            " add --refresh to extract them anew"
        )


def default_workers(models_on_cpu: bool, devices: int = 1) -> int:
    """Decode processes for each device: one a core, or a single one where models run on those cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 1 if models_on_cpu else max(1, cores // devices)


class ExtractionJob:
    """Extracts the encoders' features of some videos into a store.

    Only what the store lacks is computed: a video goes through the encoders that miss it, in one decode
    pass. A video in quarantine is skipped. What is outdated is said, and computed anew with `refresh`.
    `sets`: encoder → its feature set. `outdated`: video → why its features do not hold, as far as `tasks`
    has been read.
    """

    def __init__(self, recipe: Recipe, encoders: Mapping[str, Encoder]) -> None:
        """`encoders`: those of the recipe, on any device. Raises StoreError."""
        store = FeatureStore(recipe.store, recipe.backend)
        self._encoders = encoders
        self._largest_gap_seconds = recipe.largest_gap_seconds
        self.outdated: dict[str, str] = {}
        self.sets: dict[str, FeatureSet] = {
            name: store.feature_set(recipe.dataset, name, encoder.specification())
            for name, encoder in encoders.items()
        }

    def release_quarantined(self, videos: Iterable[str]) -> None:
        """Give those of the videos that are in quarantine another chance."""
        wanted = list(videos)
        for features in self.sets.values():
            features.quarantine.remove(wanted)

    def tasks(
        self, videos: Mapping[str, Location], *, retry_quarantined: bool = False, refresh: bool = False
    ) -> Iterator[VideoTask]:
        """For each of the videos (id → where), in their order, the encoders that it still needs, if any.

        With `refresh`, those too whose features are outdated; `outdated` has them in any case. A video of
        which an encoder's features are stored under another spelling keeps that id for the other encoders,
        whose features would not meet otherwise. Where it has two ids, there are two tasks.
        """
        refused = {name: {} if retry_quarantined else self.refused(name) for name in self.sets}
        views = {name: StoredVideos(features, videos) for name, features in self.sets.items()}
        items = iter(videos.items())
        while block := dict(islice(items, _BLOCK)):
            stored = {name: view.look_up(block) for name, view in views.items()}
            for have in stored.values():
                self.outdated |= have.outdated
            for video, location in block.items():
                for task in _tasks(video, location, stored, refused, refresh):
                    yield replace(task, largest_gap_seconds=self._largest_gap_seconds)

    def pending(
        self, videos: Mapping[str, Location], *, retry_quarantined: bool = False, refresh: bool = False
    ) -> list[VideoTask]:
        """What there is to do for the videos (id → where), in their order, with the sizes of their files."""
        tasks = self.tasks(videos, retry_quarantined=retry_quarantined, refresh=refresh)
        return [replace(task, file_bytes=size_bytes(task.path)) for task in tasks if task.encoders]

    def refused(self, encoder: str) -> dict[str, Refusal]:
        """Video → why it is in the encoder's quarantine."""
        entries = self.sets[encoder].quarantine.entries()
        return {entry.video: Refusal(entry.error_type, entry.reason) for entry in entries}

    def run(
        self,
        videos: Mapping[str, Location],
        executor: Executor,
        *,
        refresh: bool = False,
        quiet: bool = False,
    ) -> ExtractionSummary:
        """Extract what is missing of the videos (id → where), in their order; see `tasks`.

        An interruption, by Ctrl-C or SIGTERM, keeps the videos that were finished. Raises ChangedNumbers
        where an encoder gives other numbers than the store has of it, and what the executor raises.
        """
        started = time.perf_counter()
        if refresh:
            check_references(self._encoders, self.sets, refresh=True)
            self.release_quarantined(task.video for task in self.tasks(videos, refresh=True) if task.refresh)
        summary = ExtractionSummary()
        with progress_bar(len(videos), quiet) as bar:
            tasks = self._watched(self.tasks(videos, refresh=refresh), summary, bar, checked=refresh)
            with stops_on_sigterm(), closing(executor.run(tasks)) as outcomes:
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

    def _watched(
        self, tasks: Iterator[VideoTask], summary: ExtractionSummary, bar: "tqdm[Any]", checked: bool
    ) -> Iterator[VideoTask]:
        """The same tasks; those that need nothing are counted, encoders checked before the first other."""
        refused = {video for name in self.sets for video in self.refused(name)}
        for task in tasks:
            if not task.encoders:
                summary.already += task.video not in refused
                bar.update()
            elif not checked:
                check_references(self._encoders, self.sets)
                checked = True
            yield task

    def _sum_up(self, summary: ExtractionSummary, videos: Mapping[str, Location]) -> None:
        """Add what the store has now."""
        for name, features in self.sets.items():
            features.refresh()
            refused = {v: why for v, why in sorted(self.refused(name).items()) if v in videos}
            summary.quarantined |= refused
            summary.feature_sets[name] = {"key": features.key, "path": features.location}
            before = {video: videos[video] for video in sorted(self.outdated)}
            summary.outdated |= StoredVideos(features, before).look_up(before).outdated
        summary.with_warnings = dict(sorted(summary.with_warnings.items()))


def _tasks(
    video: str,
    location: Location,
    stored: Mapping[str, Stored],
    refused: Mapping[str, Mapping[str, Refusal]],
    refresh: bool,
) -> Iterator[VideoTask]:
    """A task for each id that the video's features go under; one without encoders where nothing is needed."""
    usual = next((have.ids[video] for have in stored.values() if video in have.ids), video)
    outdated = {name for name, have in stored.items() if refresh and video in have.outdated}
    ids = {
        name: have.ids.get(video, usual)
        for name, have in stored.items()
        if name in outdated or (video not in have.ids and not refused[name].keys() & {video, usual})
    }
    for identity in dict.fromkeys(ids.values() or [video]):
        encoders = tuple(name for name, own in ids.items() if own == identity)
        yield VideoTask(identity, location, encoders, refresh=not outdated.isdisjoint(encoders))
