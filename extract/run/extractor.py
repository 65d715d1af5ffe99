"""One process's share of an extraction: decode workers, the encoders of one device, the store."""

import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from extract.encoders.base import Encoder, Features
from extract.encoders.registry import build_encoder
from extract.errors import UnreadableVideo
from extract.location import Location
from extract.run.batching import DeviceThreads
from extract.run.encoding import Encoding
from extract.run.recorder import Recorder
from extract.run.reference import check_references
from extract.tasks import Outcome, Phases, Recipe, Refused, VideoTask
from extract.video.decode import VideoInfo
from extract.workers.messages import Decoders
from extract.workers.pool import DecodeHere, DecodePool, cores
from store.features import FeatureSet, FeatureStore
from store.remote.place import local_folder

_TIME_BUDGET_SECONDS = 300.0
"""For which a decode process may say nothing."""


def feature_sets(recipe: Recipe, encoders: Mapping[str, Encoder]) -> dict[str, FeatureSet]:
    """Encoder → where its features go. Raises StoreError."""
    store = FeatureStore(recipe.store, recipe.backend)
    return {
        name: store.feature_set(recipe.dataset, name, encoder.specification())
        for name, encoder in encoders.items()
    }


class Extractor(AbstractContextManager["Extractor"]):
    """Extracts videos on one device and stores their features; its processes and models stay for the next.

    sets: encoder → where its features go.
    phases: seconds since it was made. `run` is the time in `extract`; `encode` the time in which the
        device was busy; `decode`, `resize` and `encode in workers` are added up over the workers.
    """

    def __init__(self, recipe: Recipe, device: str, encoders: Mapping[str, Encoder] | None = None) -> None:
        """`encoders`: those of the recipe, where they are built already. Raises EncoderError, StoreError."""
        if encoders is None:
            encoders = {settings.name: build_encoder(settings, device) for settings in recipe.encoders}
        self.sets = feature_sets(recipe, encoders)
        self.phases = Phases()
        self._encoders = encoders
        self._checked = False
        self._recipe = recipe
        self._threads = DeviceThreads(device)
        self._decoders: Decoders = (
            DecodePool(encoders, recipe.workers, recipe.time_budget_seconds)
            if recipe.workers
            else DecodeHere(encoders, cores())
        )

    def check(self) -> None:
        """See that the encoders run here and give the numbers that the store has of them.

        Raises ChangedNumbers, and what encoders raise.
        """
        if not self._checked:
            check_references(self._encoders, self.sets)
            self._checked = True

    def extract(
        self, tasks: Iterable[VideoTask], on_commit: Callable[[], None] = lambda: None
    ) -> Generator[Outcome]:
        """Extract the videos, whose ids must differ; outcomes come as they are ready, in any order.

        Tasks are asked for when there is room for them. `on_commit` is called, in another thread, when all
        is committed whose outcomes had come before.

        What has succeeded is in the store, durably, when the iterator ends, however it ends: by an error, a
        KeyboardInterrupt or its `close`. Raises ChangedNumbers, WorkerFailed, StoreError, and what encoders
        raise.
        """
        tasks = iter(tasks)
        first = next(tasks, None)
        if first is None:
            return
        self.check()
        folder = local_folder(self._recipe.store)
        encoding = Encoding(self._encoders, self._decoders, self._threads, folder, self.phases)
        commit_seconds = self._recipe.commit_seconds
        with (
            self.phases.timed("run"),
            Recorder(self.sets, self._encoders, commit_seconds, self.phases, on_commit) as recorder,
        ):
            for result in encoding.run(chain([first], tasks)):
                if result is not None:
                    recorder.record(result)
                yield from recorder.outcomes()
            yield from recorder.finish()

    def close(self) -> None:
        """End processes and threads."""
        self._decoders.close()
        self._threads.close()

    def __exit__(self, *_: Any) -> None:
        self.close()


@dataclass(frozen=True)
class VideoFeatures:
    """`features`: encoder → stream → array [K, *shape]. `info`: what decoding showed, its warnings too."""

    features: dict[str, Features]
    info: VideoInfo


def extract_features(
    videos: Sequence[Location], encoders: Mapping[str, Encoder], device: str = "cpu"
) -> Iterator[VideoFeatures | UnreadableVideo]:
    """Without a store: for each video, in order, its features, or the error that tells why not.

    See `features_as_ready`, with videos decoded in this process.
    """
    ready: dict[int, VideoFeatures | UnreadableVideo] = {}
    due = 0
    for number, found in features_as_ready(videos, encoders, device):
        ready[number] = found
        while due in ready:
            yield ready.pop(due)
            due += 1


def features_as_ready(
    videos: Sequence[Location], encoders: Mapping[str, Encoder], device: str = "cpu", workers: int = 0
) -> Iterator[tuple[int, VideoFeatures | UnreadableVideo]]:
    """Without a store: each video's number with its features, or the error that tells why not; once ready.

    `device`: where the encoders are, whose batches all videos share. `workers`: processes that decode; 0
    decodes in this process, one video after another.
    """
    tasks = [VideoTask(str(number), video, tuple(encoders)) for number, video in enumerate(videos)]
    decoders: Decoders = (
        DecodePool(encoders, workers, _TIME_BUDGET_SECONDS) if workers else DecodeHere(encoders, cores())
    )
    with closing(DeviceThreads(device)) as threads, closing(decoders):
        encoding = Encoding(encoders, decoders, threads, Path(tempfile.gettempdir()), Phases())
        for result in encoding.run(tasks):
            if isinstance(result, Refused):
                yield int(result.task.video), UnreadableVideo(result.message)
            elif result is not None:
                found = VideoFeatures(result.features.arrays(), result.info)
                result.features.close()
                yield int(result.task.video), found
