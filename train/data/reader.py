"""The features of a dataset's videos, as the model's branches see them."""

import logging
from collections.abc import Collection, Mapping

import torch

from config.schema import BranchSettings, DatasetSettings
from store.errors import AmbiguousFeatures
from store.features import FeatureSet, FeatureStore
from store.torch_view import as_tensor, read_tensor
from train.data.branches import Features, token_shape, video_features
from train.data.items import chosen_items, items_within, step_seconds
from train.errors import FeaturesMissingError, FeatureValueError, TrainError

__all__ = ["FeatureReader", "Features"]

log = logging.getLogger(__name__)

_LARGEST = 1e18


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

    def step(self, video: str, encoder: str) -> float | None:
        """Seconds from one item of the video to the next; None where that is not known."""
        features = self.sets[encoder]
        return step_seconds(features.specification, features.meta(video).get("fps"))

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Branch → (tokens, features) of a chunk."""
        return {
            name: token_shape(self.item_shape(branch.encoder, branch.stream), branch)
            for name, branch in self.branches.items()
        }

    def videos(self, branches: Collection[str] | None = None) -> set[str]:
        """Videos that every encoder of these branches, or of all, has seen."""
        encoders = {
            self.branches[name].encoder for name in self.branches if branches is None or name in branches
        }
        return set.intersection(*(set(self.sets[encoder].videos()) for encoder in encoders))

    def chunks(
        self, video: str, start: int = 0, stop: int | None = None, branches: Collection[str] | None = None
    ) -> dict[str, int]:
        """Branch → K that `read` gives; from the store's index, no features are read."""
        minimum = self._minimum_chunks if (start, stop) == (0, None) else 1
        there = self._stretch(video, start, stop, branches)

        def count(name: str, branch: BranchSettings) -> int:
            if branch.over_time == "mean":
                return 1
            return len(chosen_items(len(there[name]), branch, minimum))

        return {name: count(name, branch) for name, branch in self._chosen(branches)}

    def read(
        self, video: str, start: int = 0, stop: int | None = None, branches: Collection[str] | None = None
    ) -> Features:
        """Branch → [K, tokens, features] of the chunks from `start` up to `stop`; of all branches by default.

        Where the branches' items differ in length, chunks are the longest ones, and shorter items, such as
        frames, are read that begin within. A whole video repeats its last chunk up to the dataset's
        `minimum_chunks`. Raises DamagedPart where its bytes are not those that were stored (which is not
        known of a part of it), FeatureValueError.
        """
        minimum = self._minimum_chunks if (start, stop) == (0, None) else 1
        there = self._stretch(video, start, stop, branches)
        blocks = {
            name: self._block(video, branch, there[name], whole=(start, stop) == (0, None))
            for name, branch in self._chosen(branches)
        }
        steps = {name: self.step(video, branch.encoder) for name, branch in self._chosen(branches)}
        return video_features(blocks, self.branches, steps, minimum, {n: r.start for n, r in there.items()})

    def _chosen(self, names: Collection[str] | None) -> list[tuple[str, BranchSettings]]:
        chosen = self.branches if names is None else names
        if unknown := sorted(set(chosen) - self.branches.keys()):
            raise TrainError(f"no branch {unknown[0]!r}; the pipeline has {', '.join(self.branches)}")
        return [
            (name, branch)
            for name, branch in self.branches.items()
            if name in chosen and name not in self._without
        ]

    def _stretch(
        self, video: str, start: int, stop: int | None, branches: Collection[str] | None
    ) -> dict[str, range]:
        """Branch → the items from chunk `start` up to chunk `stop`; past the end where that was asked for."""
        chosen = self._chosen(branches)
        lengths = {name: self.length(video, b.encoder, b.stream) for name, b in chosen}
        if (start, stop) == (0, None):
            return {name: range(length) for name, length in lengths.items()}
        # A chunk is the same stretch whichever branches are asked for.
        all_of_it = [b for _, b in self._chosen(None) if video in self.sets[b.encoder]]
        counts = {f"{b.encoder}.{b.stream}": self.length(video, b.encoder, b.stream) for b in all_of_it}
        if len(set(counts.values())) <= 1:
            return {name: range(start, length if stop is None else stop) for name, length in lengths.items()}
        steps = {b.encoder: step for b in all_of_it if (step := self.step(video, b.encoder)) is not None}
        if len(steps) < len({b.encoder for b in all_of_it}):
            raise TrainError(
                f"{video}: a part of a video is named by its chunks, but its streams have not as many of them"
                f" ({', '.join(f'{stream} {count}' for stream, count in counts.items())}), and the store does"
                " not say when each begins"
            )
        found, unit = {}, max(steps.values())
        for name, branch in chosen:
            step = steps[branch.encoder]
            found[name] = items_within(start, stop, step, unit, lengths[name])
            if not found[name]:
                raise TrainError(
                    f"{video}: nothing of {branch.encoder}.{branch.stream}, {lengths[name]} items of"
                    f" {step:g} s, begins within chunks {start} to {stop} of {unit:g} s"
                )
        return found

    def _block(self, video: str, branch: BranchSettings, items: range, *, whole: bool) -> torch.Tensor:
        features, start, stop = self.sets[branch.encoder], items.start, items.stop
        if branch.first_chunks is not None and branch.first_by == "time":
            stop = min(start + branch.first_chunks, stop)
        # Of a whole video the checksum can be compared.
        block = (
            as_tensor(features.read_verified(video, branch.stream))
            if whole and stop == items.stop
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
