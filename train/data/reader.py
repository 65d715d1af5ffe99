"""The features of a dataset's videos, as the model's branches see them."""

import logging
import math
from collections.abc import Collection, Mapping

import torch
from torch.nn import functional

from config.schema import BranchSettings, DatasetSettings
from store.errors import AmbiguousFeatures
from store.features import FeatureSet, FeatureStore
from store.torch_view import as_tensor, read_tensor
from train.errors import FeaturesMissingError, FeatureValueError, TrainError

log = logging.getLogger(__name__)

_LARGEST = 1e18

Features = Mapping[str, torch.Tensor]
"""Branch name → [K, tokens, features] of one video."""


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
        self._without = dataset.without
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
                    f"{self.sets[branch.encoder].location} has no stream {branch.stream!r};"
                    f" it has {', '.join(sorted(streams))}"
                )

    @property
    def keys(self) -> dict[str, str]:
        """Encoder → feature key."""
        return {encoder: features.key for encoder, features in self.sets.items()}

    def item_shape(self, encoder: str, stream: str) -> tuple[int, ...]:
        """Of one item of the stream."""
        return self.sets[encoder].streams[stream].shape

    def item_bytes(self, encoder: str, stream: str) -> int:
        """Stored, of one item of the stream."""
        return self.sets[encoder].streams[stream].item_bytes

    def length(self, video: str, encoder: str, stream: str) -> int:
        """Items of the video in the stream."""
        return self.sets[encoder].length(video, stream)

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Branch → (tokens, features) of a chunk."""
        return {
            name: token_shape(self.item_shape(branch.encoder, branch.stream), branch)
            for name, branch in self.branches.items()
        }

    def videos(self) -> set[str]:
        """Videos that every encoder has seen."""
        return set.intersection(*(set(features.videos()) for features in self.sets.values()))

    def chunks(
        self, video: str, start: int = 0, stop: int | None = None, branches: Collection[str] | None = None
    ) -> dict[str, int]:
        """Branch → K that `read` gives; from the store's index, no features are read."""
        minimum = self._minimum_chunks if (start, stop) == (0, None) else 1

        def count(branch: BranchSettings) -> int:
            if branch.over_time == "mean":
                return 1
            there = range(self.length(video, branch.encoder, branch.stream))
            return branch.first_chunks or max(len(there[start:stop]), minimum)

        return {name: count(branch) for name, branch in self._chosen(branches)}

    def read(
        self, video: str, start: int = 0, stop: int | None = None, branches: Collection[str] | None = None
    ) -> Features:
        """Branch → [K, tokens, features] of the chunks from `start` up to `stop`; of all branches by default.

        A whole video repeats its last chunk up to the dataset's `minimum_chunks`. Raises DamagedPart where
        its bytes are not those that were stored (which is not known of a part of it), FeatureValueError.
        """
        whole = (start, stop) == (0, None)
        minimum = self._minimum_chunks if whole else 1
        if not whole:
            chosen = [branch for _, branch in self._chosen(branches)]
            lengths = {(b.encoder, b.stream): self.length(video, b.encoder, b.stream) for b in chosen}
            if len(set(lengths.values())) > 1:
                counts = ", ".join(f"{'.'.join(stream)} {count}" for stream, count in lengths.items())
                raise TrainError(
                    f"{video}: a part of a video is named by its chunks, but its streams have not as many"
                    f" of them ({counts})"
                )
        return {
            name: branch_tokens(self._block(video, branch, start, stop), branch, minimum, start)
            for name, branch in self._chosen(branches)
        }

    def _chosen(self, names: Collection[str] | None) -> list[tuple[str, BranchSettings]]:
        chosen = self.branches if names is None else names
        if unknown := sorted(set(chosen) - self.branches.keys()):
            raise TrainError(f"no branch {unknown[0]!r}; the pipeline has {', '.join(self.branches)}")
        return [
            (name, branch)
            for name, branch in self.branches.items()
            if name in chosen and name not in self._without
        ]

    def _block(self, video: str, branch: BranchSettings, start: int, stop: int | None) -> torch.Tensor:
        features = self.sets[branch.encoder]
        if branch.first_chunks is not None and branch.first_by == "time":
            end = min(start + branch.first_chunks, features.length(video, branch.stream))
            stop = end if stop is None else min(end, stop)
        whole = (start, stop) == (0, None)  # so that its checksum can be compared
        block = (
            as_tensor(features.read_verified(video, branch.stream))
            if whole
            else read_tensor(features, video, branch.stream, start, stop)
        )
        least, most = map(float, torch.aminmax(block)) if block.numel() else (0.0, 0.0)
        if not -_LARGEST < least <= most < _LARGEST:  # nor is NaN
            raise FeatureValueError(
                f"{video}, {features.name}, stream {branch.stream!r}: features from {least:g} to {most:g};"
                f" expected numbers below {_LARGEST:g}, whose squares are numbers too: extract the video"
                " again, or take it out of the labels"
            )
        return block


def token_shape(shape: tuple[int, ...], branch: BranchSettings) -> tuple[int, int]:
    """(tokens, features) of a chunk, from the stored stream's shape and the branch's grid."""
    if branch.grid is None:
        return math.prod(shape[:-1]), shape[-1]
    if len(shape) != 4:
        raise TrainError(
            f"grid = {list(branch.grid)} pools maps [time, height, width, dim], but the stream"
            f" {branch.encoder}.{branch.stream} has the shape {list(shape)}: remove `grid`"
        )
    return math.prod(branch.grid), shape[-1]


def branch_tokens(
    block: torch.Tensor, branch: BranchSettings, minimum_chunks: int = 1, start: int = 0
) -> torch.Tensor:
    """[K, *stream shape] → [K, tokens, features]; [1, tokens, features] where the branch averages over time.

    Maps are average-pooled to the branch's grid here, at load time: all token counts of the paper's
    ablation come from the same stored features. So is the last chunk repeated up to `minimum_chunks`. The
    block's first chunk is the video's chunk `start`.
    """
    if branch.first_chunks is not None:
        order = list(range(len(block)))
        if branch.first_by == "name":
            order.sort(key=lambda chunk: str(start + chunk))
        block, minimum_chunks = block[order[: branch.first_chunks]], branch.first_chunks
    if len(block) < minimum_chunks:
        block = block[torch.arange(minimum_chunks).clamp(max=len(block) - 1)]
    if branch.over_time == "mean":
        block = block.float().mean(dim=0, keepdim=True)
    if branch.grid is not None:
        maps = block.movedim(-1, 1).float()  # [K, D, t, h, w]
        block = functional.adaptive_avg_pool3d(maps, branch.grid).movedim(1, -1)  # [K, t', h', w', D]
    return block.reshape(block.shape[0], -1, block.shape[-1])


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
