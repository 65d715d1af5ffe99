"""The batch job: videos to feature sets in the store, resumable, whatever single videos do."""

import os
import time
from collections.abc import Iterable, Mapping, Set
from contextlib import closing

from config.errors import Problem
from config.interruption import stops_on_sigterm
from extract.encoders.base import Encoder
from extract.executors.base import Executor
from extract.job.stored import Stored, stored_videos
from extract.job.summary import ExtractionSummary, Refusal, progress_bar, weight
from extract.location import Location, size_bytes
from extract.run.reference import check_references
from extract.tasks import Recipe, VideoTask
from store.features import FeatureSet, FeatureStore

_NAMED = 5


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
    `sets`: encoder → its feature set.
    """

    def __init__(self, recipe: Recipe, encoders: Mapping[str, Encoder]) -> None:
        """`encoders`: those of the recipe, on any device. Raises StoreError."""
        store = FeatureStore(recipe.store, recipe.backend)
        self._encoders = encoders
        self.sets: dict[str, FeatureSet] = {
            name: store.feature_set(recipe.dataset, name, encoder.specification())
            for name, encoder in encoders.items()
        }

    def release_quarantined(self, videos: Iterable[str]) -> None:
        """Give those of the videos that are in quarantine another chance."""
        wanted = list(videos)
        for features in self.sets.values():
            features.quarantine.remove(wanted)

    def stored(self, videos: Mapping[str, Location]) -> dict[str, Stored]:
        """Encoder → what the store has of the videos (id → where)."""
        return {name: stored_videos(features, videos) for name, features in self.sets.items()}

    def pending(
        self, videos: Mapping[str, Location], *, retry_quarantined: bool = False, refresh: bool = False
    ) -> list[VideoTask]:
        """What there is to do for the videos (id → where), in their order; `refresh`: the outdated, too."""
        refused = {name: {} if retry_quarantined else self.refused(name) for name in self.sets}
        return _tasks(videos, self.stored(videos), refused, refresh)

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
        """Extract what is missing of the videos (id → where), the largest files first; see `pending`.

        An interruption, by Ctrl-C or SIGTERM, keeps the videos that were finished. Raises ChangedNumbers
        where an encoder gives other numbers than the store has of it, and what the executor raises.
        """
        started = time.perf_counter()
        stored = self.stored(videos)
        refused = {name: self.refused(name) for name in self.sets}
        tasks = _tasks(videos, stored, refused, refresh)
        if tasks or refresh:
            check_references(self._encoders, self.sets, refresh=refresh)
        if refresh:
            stored = self.stored(videos)  # now that a change of the numbers is known
            tasks = _tasks(videos, stored, refused, refresh)
            self.release_quarantined(task.video for task in tasks if task.refresh)
        tasks.sort(key=lambda task: (-task.file_bytes, task.video))
        outdated = {video for have in stored.values() for video in have.outdated}
        summary = ExtractionSummary()
        summary.already = len(
            set.intersection(*(set(have.ids) for have in stored.values())) - (outdated if refresh else set())
        )
        begun = time.perf_counter()
        with (
            stops_on_sigterm(),
            closing(executor.run(tasks)) as outcomes,
            progress_bar(tasks, quiet) as bar,
        ):
            for outcome in outcomes:
                summary.add(outcome)
                progress = summary.progress(len(tasks), time.perf_counter() - begun)
                bar.set_postfix_str(progress, refresh=False)
                bar.update(weight(outcome.task))
        self._sum_up(summary, videos.keys() | {task.video for task in tasks})
        for have in self.stored({video: videos[video] for video in sorted(outdated)}).values():
            summary.outdated |= have.outdated
        summary.seconds = round(time.perf_counter() - started, 3)
        summary.phase_seconds = {name: round(value, 3) for name, value in executor.phases.seconds.items()}
        summary.device_busy_share = executor.phases.busy_share
        return summary

    def _sum_up(self, summary: ExtractionSummary, videos: Set[str]) -> None:
        """Add what the store has now."""
        for name, features in self.sets.items():
            features.refresh()
            summary.quarantined |= {v: why for v, why in sorted(self.refused(name).items()) if v in videos}
            summary.feature_sets[name] = {"key": features.key, "path": str(features.path)}
        summary.with_warnings = dict(sorted(summary.with_warnings.items()))


def _tasks(
    videos: Mapping[str, Location],
    stored: Mapping[str, Stored],
    refused: Mapping[str, Mapping[str, Refusal]],
    refresh: bool,
) -> list[VideoTask]:
    """What there is to do, in the order of the videos.

    A video of which an encoder's features are stored under another spelling keeps that id for the other
    encoders, whose features would not meet otherwise. Where it has two ids, there are two tasks.
    """
    tasks = []
    for video, location in videos.items():
        usual = next((have.ids[video] for have in stored.values() if video in have.ids), video)
        missing = [
            n for n, h in stored.items() if video not in h.ids and not refused[n].keys() & {video, usual}
        ]
        outdated = [n for n, h in stored.items() if refresh and video in h.outdated]
        ids = {name: stored[name].ids.get(video, usual) for name in stored if name in missing + outdated}
        for identity in dict.fromkeys(ids.values()):
            encoders = tuple(name for name, own in ids.items() if own == identity)
            anew = not set(encoders).isdisjoint(outdated)
            tasks.append(VideoTask(identity, location, encoders, size_bytes(location), anew))
    return tasks
