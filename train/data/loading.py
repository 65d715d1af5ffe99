"""Samples with their features, read from the store and delivered in batches."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch.utils.data import Dataset

from config.schema import TrainingSettings
from store.ahead import read_ahead
from train.data.batches import Batch
from train.data.reader import FeatureReader, Features
from train.data.samples import Sample

Loaded = tuple[Batch, list[Features]]
"""A batch with the features of its videos."""


class QualityDataset(Dataset[Features]):
    """Map-style dataset over samples of one or several datasets: index → features."""

    def __init__(self, samples: Sequence[Sample], readers: Mapping[str, FeatureReader]) -> None:
        self.samples = samples
        self.readers = readers

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Features:
        sample = self.samples[index]
        return self.readers[sample.dataset].read(sample.video)

    def tokens(self, per_chunk: Mapping[str, int], text: int) -> list[int]:
        """Tokens that each sample takes in the decoder: what its chunks become, and `text` more.

        `per_chunk`: branch → tokens that its projector makes of a chunk.
        """
        return [self.readers[s.dataset].tokens(s.video, per_chunk) + text for s in self.samples]


def loaded(
    data: QualityDataset, batches: Sequence[Batch], settings: TrainingSettings, device: torch.device
) -> Iterator[Loaded]:
    """The batches in their order, with features on the device, whatever the number of workers."""

    def read(batch: Batch) -> list[Features]:
        return [_pinned(data[video], device) for video in batch.videos]

    found = read_ahead(read, batches, settings.workers, settings.prefetch)
    for batch, features in zip(batches, found, strict=True):
        yield batch, [_on(video, device) for video in features]


def _pinned(video: Features, device: torch.device) -> Features:
    """In memory from which a GPU copies by itself."""
    return {b: tokens.pin_memory() for b, tokens in video.items()} if device.type == "cuda" else video


def _on(video: Features, device: torch.device) -> Features:
    return {branch: tokens.to(device, non_blocking=True) for branch, tokens in video.items()}
