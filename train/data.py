"""Labelled videos with their features, streamed from the store."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Dataset

from config.schema import BranchSettings, TrainingSettings
from store.features import FeatureSet, FeatureStore
from train.branch import branch_tokens, token_shape
from train.errors import FeaturesMissingError
from train.model import Features


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
        dataset: str,
        branches: Mapping[str, BranchSettings],
        keys: Mapping[str, str] | None = None,
    ) -> None:
        encoders = {branch.encoder for branch in branches.values()}
        self.sets: dict[str, FeatureSet] = {
            encoder: store.find(dataset, encoder, (keys or {}).get(encoder)) for encoder in sorted(encoders)
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
        """Branch → [K, tokens, features] of the chunks from `start` up to `stop`."""
        return {
            name: branch_tokens(
                torch.from_numpy(self.sets[branch.encoder].read(video, branch.stream, start, stop)), branch
            )
            for name, branch in self.branches.items()
        }


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
