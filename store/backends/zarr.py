"""A part as a Zarr v3 group: one uncompressed array for each stream.

Uncompressed chunk files are the items' bytes and nothing else: they are written as the items come, without
a copy. zarr-python then describes them, once it is known how many there are; it takes long to import, and
readers never need it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.backends.base import Fault, Layout, differences
from store.backends.spans import chunk_key
from store.durable.writeback import WriteBack
from store.format.dtypes import file_dtype
from store.format.marker import Marker, StreamRows, StreamShape

_CHUNK_BYTES = 64 << 20
_LEAST_ITEMS = 96
"""In a chunk file: a dozen videos of 8 s, as far as the largest size allows."""
_LARGEST_CHUNK_BYTES = 256 << 20
_FILL_BYTES = 1 << 20


class ZarrBody:
    """The part's group: videos are concatenated along the first dimension of each stream's array."""

    def __init__(
        self, path: Path, streams: Mapping[str, StreamShape], chunk_bytes: int | None = None
    ) -> None:
        self._path = path
        self._writeback = WriteBack()
        self._streams: dict[str, _ChunkFiles] = {}
        for name, stream in streams.items():
            (path / name).mkdir(parents=True)
            usual = min(max(_CHUNK_BYTES, _LEAST_ITEMS * stream.item_bytes), _LARGEST_CHUNK_BYTES)
            chunk_items = max(1, (chunk_bytes or usual) // stream.item_bytes)
            self._streams[name] = _ChunkFiles(path, name, stream, chunk_items, self._writeback)

    def append(self, stream: str, items: NDArray[Any]) -> None:
        """Add items [n, *stream shape] of the stream's dtype."""
        self._streams[stream].append(items)

    def finish(self) -> dict[str, Layout]:
        """Complete the chunk files and describe them. Returns stream → layout."""
        import zarr
        from zarr.storage import LocalStore

        layouts = {name: stream.finish() for name, stream in self._streams.items()}
        group = zarr.create_group(LocalStore(self._path), zarr_format=3)
        for name, stream in self._streams.items():
            file = file_dtype(stream.shape.dtype)
            group.create_array(
                name,
                shape=(stream.items, *stream.shape.shape),
                dtype=file.dtype,
                chunks=(layouts[name].chunk_items, *stream.shape.shape),
                # One file a chunk, without a folder for each dimension.
                chunk_key_encoding={"name": "default", "separator": "."},
                # A chunk that is lost then reads as NaN, not as plausible zeros.
                fill_value=file.fill,
                filters=None,
                compressors=None,
                config={"write_empty_chunks": True},
                attributes=file.attributes,
            )
        self._writeback.finish()
        return layouts

    def discard(self) -> None:
        """Close what is open."""
        self._writeback.stop()


class _ChunkFiles:
    """The chunk files of one stream, one after the other."""

    def __init__(
        self, path: Path, name: str, shape: StreamShape, chunk_items: int, writeback: WriteBack
    ) -> None:
        self.shape = shape
        self.items = 0
        self._path = path
        self._name = name
        self._chunk_items = chunk_items
        self._writeback = writeback

    def append(self, items: NDArray[Any]) -> None:
        """Write items [n, *shape], each into the file of its chunk."""
        while len(items):
            chunk, within = divmod(self.items, self._chunk_items)
            taken = items[: self._chunk_items - within]
            file = self._path / chunk_key(self._name, chunk, len(self.shape.shape))
            with file.open("ab") as content:
                content.write(taken.reshape(-1).view(np.uint8).data)
            self._writeback.written(file, taken.nbytes)
            self.items += len(taken)
            items = items[len(taken) :]

    def finish(self) -> Layout:
        """Fill up the last chunk's file."""
        items = self.items
        if items <= self._chunk_items:
            # All fits into one chunk: that need not be longer than what it holds.
            return Layout(max(1, items))
        file, left = file_dtype(self.shape.dtype), -items % self._chunk_items
        fill_items = max(1, _FILL_BYTES // self.shape.item_bytes)
        fill = np.full((fill_items, *self.shape.shape), file.fill, file.dtype)
        for first in range(0, left, fill_items):
            self.append(fill[: left - first])
        self.items = items
        return Layout(self._chunk_items)


def check(part: Path, marker: Marker) -> list[Fault]:
    """Where what plain Zarr tools go by differs from the marker, stream by stream; empty if all is well."""
    return [fault for name, rows in marker.streams.items() for fault in _faults(part, name, rows)]


def _faults(part: Path, stream: str, rows: StreamRows) -> list[Fault]:
    where = part / stream / "zarr.json"
    expected = file_dtype(rows.dtype)
    written = {
        "shape": [rows.total, *rows.shape],
        "chunks": [rows.chunk_items * max(1, rows.file_chunks), *rows.shape],
        "data type": expected.dtype.name,
        "attributes": expected.attributes,
    }
    try:
        metadata = json.loads(where.read_bytes())
        found = {
            "shape": metadata["shape"],
            "chunks": metadata["chunk_grid"]["configuration"]["chunk_shape"],
            "data type": metadata["data_type"],
            "attributes": {name: metadata["attributes"][name] for name in expected.attributes},
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [Fault(stream, f"{where} cannot be read: {error!r}")]
    return differences(stream, where, found, written)
