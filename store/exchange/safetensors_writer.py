"""A feature set as safetensors files of bounded size with an index, as Hugging Face shards its models."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors.numpy import save_file

from store.durable.commit import write_file
from store.exchange.npy_writer import described
from store.feature_set import FeatureSet

INDEX_SUFFIX = ".safetensors.index.json"
MARK = "feature_set"
"""What tells an export's index from others."""
SHARD_BYTES = 512 << 20
# Readers refuse headers above 100 MB.
_SHARD_TENSORS = 5_000


class SafetensorsWriter:
    """Writes features-00001-of-00007.safetensors, …, with keys VIDEO/STREAM, and then the index; a `Target`.

    A shard is held in memory until it is written. A video is never divided, and may exceed `shard_bytes`.
    """

    def __init__(self, features: FeatureSet, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder = folder
        self._shard_bytes = shard_bytes
        self._description = described(features)
        self._metas: dict[str, Any] = {}
        self._pending: dict[str, NDArray[Any]] = {}
        self._shards: list[tuple[Path, list[str]]] = []
        self._pending_bytes = 0
        self._total_bytes = 0

    def add(self, video: str, streams: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """See `Target`."""
        given_bytes = sum(array.nbytes for array in streams.values())
        full = self._pending_bytes + given_bytes > self._shard_bytes or len(self._pending) >= _SHARD_TENSORS
        if self._pending and full:
            self._write_shard()
        self._pending |= {f"{video}/{stream}": array for stream, array in streams.items()}
        self._pending_bytes += given_bytes
        self._total_bytes += given_bytes
        if meta:
            self._metas[video] = meta

    def finish(self) -> None:
        """See `Target`."""
        if self._pending:
            self._write_shard()
        weight_map: dict[str, str] = {}
        for number, (path, keys) in enumerate(self._shards, start=1):
            name = f"features-{number:05}-of-{len(self._shards):05}.safetensors"
            path.rename(self._folder / name)
            weight_map |= dict.fromkeys(keys, name)
        about = {"total_size": self._total_bytes, MARK: {**self._description, "meta": self._metas}}
        index = json.dumps({"metadata": about, "weight_map": weight_map}, indent=2)
        write_file(self._folder / f"features{INDEX_SUFFIX}", index.encode("utf-8"))

    def close(self) -> None:
        """See `Target`."""

    def _write_shard(self) -> None:
        path = self._folder / f"features-{len(self._shards) + 1:05}.partial"
        save_file(self._pending, path)
        self._shards.append((path, list(self._pending)))
        self._pending, self._pending_bytes = {}, 0
