"""Writes a part as a Zarr v3 group with zarr-python: one uncompressed array for each stream."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from store.chunks import ChunkBuffer, Layout
from store.dtypes import array_dtype, file_dtype
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
        self._streams = {
            name: ChunkBuffer(
                stream.shape,
                array_dtype(stream.dtype),
                chunk_items(stream.item_bytes, chunk_bytes),
                _GrowingArray(group, name, stream).write,
            )
            for name, stream in streams.items()
        }

    def append(self, stream: str, items: NDArray[Any]) -> None:
        """Add items [n, *stream shape] of the stream's dtype."""
        self._streams[stream].append(items)

    def finish(self) -> dict[str, Layout]:
        """Write what is buffered. Returns stream → layout."""
        return {name: Layout(stream.finish()) for name, stream in self._streams.items()}

    def discard(self) -> None:
        """Nothing is open."""


class _GrowingArray:
    def __init__(self, group: zarr.Group, name: str, stream: StreamShape) -> None:
        self._group = group
        self._name = name
        self._shape = stream.shape
        self._file = file_dtype(stream.dtype)
        self._array: zarr.Array[Any] | None = None

    def write(self, first: int, count: int, chunk: NDArray[Any]) -> None:
        """See WriteChunk."""
        end = first + count
        if self._array is None:
            self._array = self._create(end, len(chunk))
        else:
            self._array.resize((end, *self._shape))
        self._array[first:end] = chunk[:count].view(self._file.dtype)

    def _create(self, items: int, chunk_items: int) -> "zarr.Array[Any]":
        return self._group.create_array(
            self._name,
            shape=(items, *self._shape),
            chunks=(chunk_items, *self._shape),
            dtype=self._file.dtype,
            # One file a chunk, without a folder for each dimension.
            chunk_key_encoding={"name": "default", "separator": "."},
            # A chunk that is lost then reads as NaN, not as plausible zeros.
            fill_value=self._file.fill,
            filters=None,
            compressors=None,
            config={"write_empty_chunks": True},
            attributes=self._file.attributes,
        )
