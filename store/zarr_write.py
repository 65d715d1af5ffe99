"""Writes a part as a Zarr v3 group with zarr-python: one uncompressed array for each stream."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from store.marker import StreamShape

_CHUNK_BYTES = 64 << 20
_LEAST_ITEMS = 96
_LARGEST_CHUNK_BYTES = 256 << 20


def chunk_items(item_bytes: int, chunk_bytes: int | None = None) -> int:
    """Items in a chunk file: 64 MiB of them, but at least 96 (a dozen videos of 8 s) up to 256 MiB.

    `chunk_bytes` decides instead, where given.
    """
    if chunk_bytes is None:
        chunk_bytes = min(max(_CHUNK_BYTES, _LEAST_ITEMS * item_bytes), _LARGEST_CHUNK_BYTES)
    return max(1, chunk_bytes // item_bytes)


class ZarrBody:
    """The part's group: videos are concatenated along the first dimension of each stream's array.

    Whole chunks are written, each once: at most one chunk of each stream is buffered.
    """

    def __init__(
        self, path: Path, streams: Mapping[str, StreamShape], chunk_bytes: int | None = None
    ) -> None:
        group = zarr.create_group(LocalStore(path), zarr_format=3)
        self._arrays = {
            name: _GrowingArray(group, name, stream, chunk_items(stream.item_bytes, chunk_bytes))
            for name, stream in streams.items()
        }

    def append(self, stream: str, items: NDArray[Any]) -> None:
        """Add items [n, *stream shape] of the stream's dtype."""
        self._arrays[stream].append(items)

    def finish(self) -> dict[str, int]:
        """Write what is buffered. Returns stream → items in each chunk file."""
        return {name: array.finish() for name, array in self._arrays.items()}


class _GrowingArray:
    def __init__(self, group: zarr.Group, name: str, stream: StreamShape, chunk_items: int) -> None:
        self._group = group
        self._name = name
        self._dtype = np.dtype(stream.dtype)
        self._shape = stream.shape
        self._chunk_items = chunk_items
        # Pages that are never filled are never given memory, so a small part stays small.
        self._buffer = np.empty((chunk_items, *stream.shape), self._dtype)  # [chunk, *shape]
        self._buffered = 0
        self._written = 0
        self._array: zarr.Array[Any] | None = None

    def append(self, items: NDArray[Any]) -> None:
        taken = 0
        while taken < len(items):
            count = min(len(items) - taken, self._chunk_items - self._buffered)
            self._buffer[self._buffered : self._buffered + count] = items[taken : taken + count]
            self._buffered += count
            taken += count
            if self._buffered == self._chunk_items:
                self._write()

    def finish(self) -> int:
        if self._array is None:
            # All fits in one chunk: it need not be longer than what it holds.
            self._chunk_items = max(1, self._buffered)
        if self._buffered:
            self._write()
        return self._chunk_items

    def _write(self) -> None:
        end = self._written + self._buffered
        if self._array is None:
            self._array = self._create(end)
        else:
            self._array.resize((end, *self._shape))
        self._array[self._written : end] = self._buffer[: self._buffered]
        self._written, self._buffered = end, 0

    def _create(self, items: int) -> "zarr.Array[Any]":
        return self._group.create_array(
            self._name,
            shape=(items, *self._shape),
            chunks=(self._chunk_items, *self._shape),
            dtype=self._dtype,
            # One file a chunk, without a folder for each dimension.
            chunk_key_encoding={"name": "default", "separator": "."},
            # A chunk that is lost then reads as NaN, not as plausible zeros.
            fill_value=float("nan"),
            filters=None,
            compressors=None,
            config={"write_empty_chunks": True},
        )
