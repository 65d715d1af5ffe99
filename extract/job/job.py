"""The batch job: videos of a dataset to feature sets in the store, resumable, whatever single videos do."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from config.interruption import stops_on_sigterm
from extract.encoders.base import Encoder
from extract.executors.base import Executor
from extract.job.progress import Progress
from extract.job.summary import ExtractionSummary, Refusal
from extract.tasks import Recipe, VideoTask
from store.features import FeatureSet, FeatureStore


def default_workers(models_on_cpu: bool, devices: int = 1) -> int:
    """Decode processes for each device: one a core, or a single one where models run on those cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 1 if models_on_cpu else max(1, cores // devices)


class ExtractionJob:
    """Extracts the encoders' features of some videos into a store.

    Only what the store lacks is computed: a video goes through the encoders that miss it, in one decode
    pass. A video in quarantine is skipped. `sets`: encoder → its feature set.
    """

    def __init__(self, recipe: Recipe, encoders: Mapping[str, Encoder]) -> None:
        """`encoders`: those of the recipe; only their specifications matter here."""
        store = FeatureStore(recipe.store, recipe.backend)
        self.sets: dict[str, FeatureSet] = {
            name: store.feature_set(recipe.dataset, name, encoder.specification())
            for name, encoder in encoders.items()
        }

    def release_quarantined(self, videos: Iterable[str]) -> None:
        """Give those of the videos that are in quarantine another chance."""
        wanted = list(videos)
        for features in self.sets.values():
            features.quarantine.remove(wanted)

    def tasks(self, videos: Mapping[str, Path], *, retry_quarantined: bool = False) -> Iterator[VideoTask]:
        """For each of the videos (id → path), in their order, the encoders that it still needs, if any."""
        refused = {name: {} if retry_quarantined else self.refused(name) for name in self.sets}
        for video, path in videos.items():
            yield VideoTask(
                video,
                path,
                tuple(n for n, s in self.sets.items() if video not in s and video not in refused[n]),
            )

    def pending(self, videos: Mapping[str, Path], *, retry_quarantined: bool = False) -> list[VideoTask]:
        """What there is to do for the videos (id → path), in their order, with the sizes of their files."""
        tasks = self.tasks(videos, retry_quarantined=retry_quarantined)
        return [replace(task, file_bytes=_file_bytes(task.path)) for task in tasks if task.encoders]

    def refused(self, encoder: str) -> dict[str, Refusal]:
        """Video → why it is in the encoder's quarantine."""
        entries = self.sets[encoder].quarantine.entries()
        return {entry.video: Refusal(entry.error_type, entry.reason) for entry in entries}

    def run(
        self, videos: Mapping[str, Path], executor: Executor, *, quiet: bool = False
    ) -> ExtractionSummary:
        """Extract what is missing of the videos (id → path), in their order.

        An interruption, by Ctrl-C or SIGTERM, keeps the videos that were finished. Raises what the
        executor raises.
        """
        started = time.perf_counter()
        progress = Progress(len(videos), quiet)
        tasks = progress.watch(self.tasks(videos))
        with stops_on_sigterm(), closing(executor.run(tasks)) as outcomes, progress:
            for outcome in outcomes:
                progress.add(outcome)
        for features in self.sets.values():
            features.refresh()
        refused: dict[str, Refusal] = {}
        for name in self.sets:
            refused |= {video: why for video, why in self.refused(name).items() if video in videos}
        return ExtractionSummary(
            done=progress.done,
            already=len(videos) - progress.done - len(refused),
            quarantined=dict(sorted(refused.items())),
            newly_quarantined=progress.failed,
            with_warnings=dict(sorted(progress.warnings.items())),
            chunks=progress.chunks,
            video_seconds=round(progress.video_seconds, 3),
            source_bytes=progress.source_bytes,
            feature_bytes=progress.feature_bytes,
            feature_sets={n: {"key": s.key, "path": str(s.path)} for n, s in self.sets.items()},
            seconds=round(time.perf_counter() - started, 3),
            phase_seconds={name: round(value, 3) for name, value in executor.phases.seconds.items()},
            device_busy_share=executor.phases.busy_share,
        )


def _file_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
