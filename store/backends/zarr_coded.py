"""Writes a part as a Zarr v3 group whose chunks are compressed: zstd, several chunks to a file.

zarr-python writes it: a chunk of about a video's size (Zarr's inner chunk) can be fetched alone, a file (its
shard) holds many. Where each lies is in the file's own index, and copied into the marker.
"""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore

from store.backends.chunks import ChunkBuffer, Layout
from store.backends.spans import chunk_key
from store.backends.zarr_write import array_settings, chunk_items
from store.format.dtypes import array_dtype, file_dtype
from store.format.marker import StreamShape

_LEVEL = 1
"""Higher ones take longer and save nothing on features."""
_CHUNK_BYTES = 2 << 20


class CodedZarrBody:
    """The part's group; at most one file of each stream is buffered."""

    def __init__(
        self, path: Path, streams: Mapping[str, StreamShape], chunk_bytes: int | None = None
    ) -> None:
        group = zarr.create_group(LocalStore(path), zarr_format=3)
        self._arrays = {
            name: _CodedArray(path, group, name, stream, chunk_bytes) for name, stream in streams.items()
        }

    def append(self, stream: str, items: NDArray[Any]) -> None:
        """Add items [n, *stream shape] of the stream's dtype."""
        self._arrays[stream].buffer.append(items)

    def finish(self) -> dict[str, Layout]:
        """Write what is buffered. Returns stream → layout."""
        return {name: array.finish() for name, array in self._arrays.items()}

    def discard(self) -> None:
        """Nothing is open."""


class _CodedArray:
    def __init__(
        self, path: Path, group: zarr.Group, name: str, stream: StreamShape, chunk_bytes: int | None
    ) -> None:
        self._path = path
        self._group = group
        self._name = name
        self._stream = stream
        self._chunk_items = max(1, (chunk_bytes or _CHUNK_BYTES) // stream.item_bytes)
        file_items = chunk_items(stream.item_bytes, chunk_bytes and 4 * chunk_bytes)
        self._file_chunks = max(1, file_items // self._chunk_items)
        self._items = 0
        self._array: zarr.Array[Any] | None = None
        self.buffer = ChunkBuffer(
            stream.shape, array_dtype(stream.dtype), self._chunk_items * self._file_chunks, self._write
        )

    def finish(self) -> Layout:
        """Write what is buffered; read from the files where their chunks lie."""
        self.buffer.finish()
        files = -(-self._items // (self._chunk_items * self._file_chunks))
        keys = [chunk_key(self._name, number, len(self._stream.shape)) for number in range(files)]
        indices = [chunk_places(self._path / key, self._file_chunks) for key in keys]
        places = list(chain.from_iterable(indices))[: -(-self._items // self._chunk_items)]
        offsets, sizes = (tuple(column) for column in zip(*places, strict=True))
        return Layout(self._chunk_items, offsets, sizes, self._file_chunks)

    def _write(self, first: int, count: int, chunk: NDArray[Any]) -> None:
        self._items = first + count
        if self._array is None:
            self._array = self._create()
        else:
            self._array.resize((self._items, *self._stream.shape))
        self._array[first : self._items] = chunk[:count].view(file_dtype(self._stream.dtype).dtype)

    def _create(self) -> "zarr.Array[Any]":
        return self._group.create_array(
            self._name,
            **array_settings(self._stream, self._items),
            chunks=(self._chunk_items, *self._stream.shape),
            shards=(self._chunk_items * self._file_chunks, *self._stream.shape),
            compressors=ZstdCodec(level=_LEVEL),
        )


def chunk_places(file: Path, chunks: int) -> list[tuple[int, int]]:
    """(byte offset, bytes) of each chunk in a file, by the index at its end (Zarr v3, sharding codec).

    Raises OSError, and ValueError where the file is too short.
    """
    size = 16 * chunks
    with file.open("rb") as content:
        content.seek(-size - 4, 2)  # a crc32c follows the index
        index = np.frombuffer(content.read(size), "<u8")
    return [(int(offset), int(length)) for offset, length in index.reshape(chunks, 2)]
