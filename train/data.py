"""Labelled videos with their features, streamed from the store."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Dataset

from config.schema import BranchSettings, DatasetSettings, TrainingSettings
from store.errors import AmbiguousFeatures
from store.features import FeatureSet, FeatureStore
from store.torch_view import read_tensor
from train.branch import branch_tokens, token_shape
from train.errors import FeaturesMissingError
from train.model import Features

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """A video with its opinion score."""

    video: str
    mos: float
    """On the dataset's own scale."""
    score: float
    """The MOS mapped to 0–100."""
    level: str


class FeatureReader:
    """Reads all branches' features of a video, by the feature keys that the run is tied to."""

    def __init__(
        self,
        store: FeatureStore,
        dataset: DatasetSettings,
        branches: Mapping[str, BranchSettings],
        keys: Mapping[str, str] | None = None,
    ) -> None:
        self._minimum_chunks = dataset.minimum_chunks
        encoders = sorted({branch.encoder for branch in branches.values()})
        self.sets: dict[str, FeatureSet] = {
            encoder: _feature_set(store, dataset.name, encoder, (keys or {}).get(encoder))
            for encoder in encoders
        }
        self.branches = dict(branches)
        for branch in branches.values():
            streams = self.sets[branch.encoder].streams
            if branch.stream not in streams:
                raise FeaturesMissingError(
                    f"{self.sets[branch.encoder].path} has no stream {branch.stream!r};"
                    f" it has {', '.join(sorted(streams))}"
                )

    @property
    def keys(self) -> dict[str, str]:
        """Encoder → feature key."""
        return {encoder: features.key for encoder, features in self.sets.items()}

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Branch → (tokens, features) of a chunk."""
        return {
            name: token_shape(self.sets[branch.encoder].streams[branch.stream].shape, branch)
            for name, branch in self.branches.items()
        }

    def videos(self) -> set[str]:
        """Videos that every encoder has seen."""
        return set.intersection(*(set(features.videos()) for features in self.sets.values()))

    def read(self, video: str, start: int = 0, stop: int | None = None) -> Features:
        """Branch → [K, tokens, features] of the chunks from `start` up to `stop`.

        A whole video repeats its last chunk up to the dataset's `minimum_chunks`.
        """
        minimum = self._minimum_chunks if (start, stop) == (0, None) else 1
        return {
            name: branch_tokens(
                read_tensor(self.sets[branch.encoder], video, branch.stream, start, stop),
                branch,
                minimum,
            )
            for name, branch in self.branches.items()
        }


def _feature_set(store: FeatureStore, dataset: str, encoder: str, key: str | None) -> FeatureSet:
    """The only feature set, the one of that key, or of several the newest, which is said."""
    try:
        return store.find(dataset, encoder, key)
    except AmbiguousFeatures:
        alike = [f for f in store.feature_sets() if (f.dataset, f.encoder) == (dataset, encoder)]
        newest = max((f for f in alike if f.committed and f.key.startswith(key or "")), key=_committed)
        log.warning(
            "%d feature sets %s/%s: taking the newest, @%s (encoders.%s.key chooses another)",
            len(alike),
            dataset,
            encoder,
            newest.key,
            encoder,
        )
        return newest


def _committed(features: FeatureSet) -> float:
    return features.committed.timestamp() if features.committed else 0.0


class QualityDataset(Dataset[tuple[int, Features]]):
    """Map-style dataset: index → (index, features)."""

    def __init__(self, samples: Sequence[Sample], reader: FeatureReader) -> None:
        self.samples = samples
        self.reader = reader

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[int, Features]:
        return index, self.reader.read(self.samples[index].video)


def keep_lists(batch: list[tuple[int, Features]]) -> tuple[list[int], list[Features]]:
    """Collate without stacking: videos have different lengths."""
    return [index for index, _ in batch], [features for _, features in batch]


def epoch_batches(count: int, settings: TrainingSettings, epoch: int) -> list[list[int]]:
    """The epoch's batches of sample indices: a seeded permutation, the same however often it is resumed."""
    generator = torch.Generator().manual_seed(settings.seed * 100_003 + epoch)
    order = torch.randperm(count, generator=generator).tolist()
    return list(_slices(order, settings.batch_size))


def phrasing(settings: TrainingSettings, epoch: int, sample: int, task_index: int, count: int) -> int:
    """Which wording a question gets: drawn from the seed, the epoch and the sample alone."""
    seed = ((settings.seed * 1009 + epoch) * 1_000_003 + sample) * 7 + task_index
    return int(torch.randint(count, (), generator=torch.Generator().manual_seed(seed)))


def _slices(order: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(order), size):
        yield order[start : start + size]
