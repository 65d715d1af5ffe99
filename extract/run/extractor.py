"""One process's share of an extraction: decode workers, the encoders of one device, the store."""

from collections.abc import Callable, Generator, Iterable, Mapping
from types import TracebackType
from typing import Self

from extract.encoders.base import Encoder
from extract.encoders.registry import build_encoder
from extract.run.batching import DeviceThreads
from extract.run.encoding import Encoding
from extract.run.recorder import Recorder
from extract.run.reference import check_references, provenance
from extract.tasks import Outcome, Recipe, Refused, VideoTask
from extract.timing import Phases
from extract.workers.messages import Decoders
from extract.workers.pool import DecodeHere, DecodePool
from store.features import FeatureSet, FeatureStore
from store.remote.place import local_folder


class Extractor:
    """Extracts videos on one device and stores their features; its processes and models stay for the next.

    sets: encoder → where its features go.
    phases: seconds since it was made. `run` is the time in `extract`; `encode` the time in which the
        device was busy; `decode`, `resize` and `encode in workers` are added up over the workers.
    """

    def __init__(self, recipe: Recipe, device: str, encoders: Mapping[str, Encoder] | None = None) -> None:
        """`encoders`: those of the recipe, where they are built and checked already (see ExtractionJob).

        Raises EncoderError, StoreError.
        """
        self._unchecked = encoders is None
        if encoders is None:
            encoders = {settings.name: build_encoder(settings, device) for settings in recipe.encoders}
        store = FeatureStore(recipe.store, recipe.backend)
        self.sets: dict[str, FeatureSet] = {
            name: store.feature_set(recipe.dataset, name, encoder.specification())
            for name, encoder in encoders.items()
        }
        self._encoders = encoders
        self.phases = Phases()
        self._commit_seconds = recipe.commit_seconds
        self._threads = DeviceThreads(device)
        self._encoding = Encoding(encoders, self._threads, local_folder(recipe.store), self.phases)
        self._decoders: Decoders = (
            DecodePool(encoders, recipe.workers, recipe.time_budget_seconds)
            if recipe.workers
            else DecodeHere(encoders)
        )

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
        if self._unchecked:
            check_references(self._encoders, self.sets)
            self._unchecked = False
        made_with = {name: provenance(encoder) for name, encoder in self._encoders.items()}
        with (
            self.phases.timed("run"),
            Recorder(self.sets, self._commit_seconds, self.phases, on_commit, made_with) as recorder,
        ):
            for result in self._encoding.run(self._decoders, tasks):
                if isinstance(result, Refused):
                    recorder.refuse(result)
                elif result is not None:
                    recorder.store(result)
                yield from recorder.outcomes()
            yield from recorder.finish()

    def close(self) -> None:
        """End processes and threads."""
        self._decoders.close()
        self._threads.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
