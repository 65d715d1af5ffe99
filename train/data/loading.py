"""Samples with their features, read from the store and delivered in batches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from config.schema import TrainingSettings
from store.ahead import read_ahead
from train.data.batches import Batch
from train.data.reader import FeatureReader, Features
from train.data.samples import Medium, Sample

Loaded = tuple[Batch, list[list[Features]]]
"""A batch with the features of its samples' media."""


class QualityDataset(Dataset[list[Features]]):
    """Map-style dataset over samples of one or several datasets: index → features of its media."""

    def __init__(self, samples: Sequence[Sample], readers: Mapping[str, FeatureReader]) -> None:
        self.samples = samples
        self.readers = readers

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> list[Features]:
        return [self._read(medium) for medium in self.samples[index].media]

    def _read(self, medium: Medium) -> Features:
        reader = self.readers[medium.dataset]
        return reader.read(medium.video, medium.start, medium.stop, medium.branches)

    def shown(self, branch: str) -> Iterator[torch.Tensor]:
        """The branch's features [K, tokens, features] of each medium that has any, once."""
        for medium in dict.fromkeys(medium for sample in self.samples for medium in sample.media):
            if branch in (features := self._read(medium)):
                yield features[branch]

    def tokens(
        self,
        visual: Callable[[Mapping[str, int], Sequence[str] | None], int],
        text: Callable[[Sample], int],
    ) -> list[int]:
        """Tokens that each sample takes in the decoder: what its media's chunks become, and its `text`.

        `visual`: the tokens of a medium with so many chunks of each branch, of which some are shown, or all.
        """
        known: dict[tuple[Any, ...], int] = {}  # most videos of a dataset are of a few lengths

        def taken(medium: Medium, shown: Sequence[str] | None) -> int:
            chunks = self.chunks(medium)
            key = (*chunks.items(), None if shown is None else tuple(shown))
            if key not in known:
                known[key] = visual(chunks, shown)
            return known[key]

        return [text(sample) + sum(taken(*each) for each in sample.read) for sample in self.samples]

    def chunks(self, medium: Medium) -> dict[str, int]:
        """Branch → chunks of a medium, from the store's index."""
        reader = self.readers[medium.dataset]
        return reader.chunks(medium.video, medium.start, medium.stop, medium.branches)


def loaded(
    data: QualityDataset, batches: Sequence[Batch], settings: TrainingSettings, device: torch.device
) -> Iterator[Loaded]:
    """The batches in their order, with features on the device, whatever the number of workers."""

    def read(batch: Batch) -> list[list[Features]]:
        return [[_pinned(medium, device) for medium in data[video]] for video in batch.videos]

    found = read_ahead(read, batches, settings.workers, settings.prefetch)
    for batch, features in zip(batches, found, strict=True):
        yield batch, [[_on(medium, device) for medium in media] for media in features]


def _pinned(video: Features, device: torch.device) -> Features:
    """In memory from which a GPU copies by itself."""
    return {b: tokens.pin_memory() for b, tokens in video.items()} if device.type == "cuda" else video


def _on(video: Features, device: torch.device) -> Features:
    return {branch: tokens.to(device, non_blocking=True) for branch, tokens in video.items()}
