"""The batch job: videos of a dataset to feature sets in the store, resumable, whatever single videos do."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from extract.encoders.base import Encoder
from extract.encoding import BLOCK_CHUNKS, EncodedVideo, FailedVideo, encode_videos
from extract.timing import Phases
from extract.worker import VideoTask
from store.errors import StoreError
from store.features import FeatureSet, FeatureStore, PartWriter

_COMMIT_SECONDS = 60.0


@dataclass(frozen=True)
class Refusal:
    """Why a video is in quarantine."""

    kind: str
    reason: str


@dataclass(frozen=True)
class ExtractionSummary:
    """What a job did. `quarantined`: video → reason, of this run and of earlier ones."""

    done: int
    already: int
    quarantined: dict[str, Refusal]
    newly_quarantined: int
    with_warnings: dict[str, list[str]]
    chunks: int
    feature_sets: dict[str, dict[str, str]]
    seconds: float
    phase_seconds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)


def default_workers(videos: int, models_on_cpu: bool) -> int:
    """Decode processes: one a core, or a single one where models run on those cores.

    0 (decode in this process) for fewer than three videos: starting a process takes seconds.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(1 if models_on_cpu else cores, videos // 3)


class ExtractionJob:
    """Extracts the encoders' features of some videos into a store.

    Only what the store lacks is computed: a video goes through the encoders that miss it, in one decode
    pass. Finished videos are committed every minute and at the end; a video in quarantine is skipped.
    """

    def __init__(self, store: FeatureStore, dataset: str, encoders: Mapping[str, Encoder]) -> None:
        self._encoders = encoders
        self.sets: dict[str, FeatureSet] = {
            name: store.feature_set(dataset, name, encoder.specification())
            for name, encoder in encoders.items()
        }

    def release_quarantined(self, videos: Iterable[str]) -> None:
        """Give those of the videos that are in quarantine another chance."""
        wanted = list(videos)
        for features in self.sets.values():
            features.quarantine.remove(wanted)

    def pending(self, videos: Mapping[str, Path]) -> list[VideoTask]:
        """What there is to do, in the order of the videos."""
        done = {name: set(features.videos()) for name, features in self.sets.items()}
        refused = {name: self._refused(features) for name, features in self.sets.items()}
        tasks = []
        for video, path in videos.items():
            missing = tuple(n for n in self.sets if video not in done[n] and video not in refused[n])
            if missing:
                tasks.append(VideoTask(video, path, missing))
        return tasks

    def run(
        self,
        videos: Mapping[str, Path],
        *,
        workers: int = 0,
        block_chunks: int = BLOCK_CHUNKS,
        commit_seconds: float = _COMMIT_SECONDS,
        quiet: bool = False,
    ) -> ExtractionSummary:
        """Extract what is missing of the videos (id → path). Stopping it loses at most `commit_seconds`."""
        phases = Phases()
        tasks = self.pending(videos)
        results = encode_videos(
            tasks, self._encoders, workers=workers, block_chunks=block_chunks, phases=phases
        )
        chunks, failed, warned = 0, 0, {}
        bar = tqdm(total=len(tasks), unit="video", desc="extract", disable=quiet)
        with ExitStack() as stack, bar:
            writers = {name: stack.enter_context(features.writer()) for name, features in self.sets.items()}
            try:
                committed = time.monotonic()
                for result in results:
                    with phases.timed("write"):
                        if isinstance(result, EncodedVideo):
                            self._store(result, writers)
                            chunks += result.info.chunks
                            if result.info.warnings:
                                warned[result.task.video] = list(result.info.warnings)
                        else:
                            self._refuse(result)
                            failed += 1
                        if time.monotonic() - committed > commit_seconds:
                            _commit(writers)
                            committed = time.monotonic()
                    bar.update()
                    bar.set_postfix(failed=failed)
            except StoreError:
                raise
            except BaseException:
                _commit(writers)
                raise
        return self._summary(videos, tasks, failed, warned, chunks, phases)

    def _store(self, result: EncodedVideo, writers: Mapping[str, PartWriter]) -> None:
        for encoder, streams in result.features.items():
            writers[encoder].add(result.task.video, streams, meta=result.info.as_json())

    def _refuse(self, result: FailedVideo) -> None:
        for encoder in result.task.encoders:
            self.sets[encoder].quarantine.add(
                result.task.video, result.message, result.kind, result.task.path
            )

    @staticmethod
    def _refused(features: FeatureSet) -> dict[str, Refusal]:
        return {e.video: Refusal(e.error_type, e.reason) for e in features.quarantine.entries()}

    def _summary(
        self,
        videos: Mapping[str, Path],
        tasks: list[VideoTask],
        failed: int,
        warned: dict[str, list[str]],
        chunks: int,
        phases: Phases,
    ) -> ExtractionSummary:
        refused: dict[str, Refusal] = {}
        for features in self.sets.values():
            refused |= {v: r for v, r in self._refused(features).items() if v in videos}
        before = len(refused) - failed
        return ExtractionSummary(
            done=len(tasks) - failed,
            already=len(videos) - len(tasks) - before,
            quarantined=dict(sorted(refused.items())),
            newly_quarantined=failed,
            with_warnings=dict(sorted(warned.items())),
            chunks=chunks,
            feature_sets={n: {"key": s.key, "path": str(s.path)} for n, s in self.sets.items()},
            seconds=round(phases.total, 3),
            phase_seconds={name: round(value, 3) for name, value in phases.seconds.items()},
        )


def _commit(writers: Mapping[str, PartWriter]) -> None:
    for writer in writers.values():
        writer.flush()


def counted(refusals: Mapping[str, Refusal]) -> dict[str, int]:
    """Kind of refusal → how many, the most frequent first."""
    return dict(Counter(refusal.kind for refusal in refusals.values()).most_common())
