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

from store.backends.base import Fault, Span, differences, pieces
from store.format.dtypes import file_dtype
from store.format.marker import Marker, StreamRows

_CHUNK_BYTES = 64 << 20
_LEAST_ITEMS = 96
"""In a chunk file: a dozen videos of 8 s, as far as the largest size allows."""
_LARGEST_CHUNK_BYTES = 256 << 20
_FILL_BYTES = 1 << 20


class ZarrBody:
    """The part's group: videos are concatenated along the first dimension of each stream's array."""

    def __init__(self, path: Path, streams: Mapping[str, StreamRows], chunk_bytes: int | None = None) -> None:
        self._path = path
        self._streams = streams
        self._written = dict.fromkeys(streams, 0)
        for name, rows in streams.items():
            (path / name).mkdir(parents=True)
            usual = min(max(_CHUNK_BYTES, _LEAST_ITEMS * rows.item_bytes), _LARGEST_CHUNK_BYTES)
            rows.chunk_items = max(1, (chunk_bytes or usual) // rows.item_bytes)

    def append(self, stream: str, items: NDArray[Any]) -> None:
        """Write items [n, *stream shape] of the stream's dtype, each into the file of its chunk."""
        rows = self._streams[stream]
        while len(items):
            chunk, within = divmod(self._written[stream], rows.chunk_items)
            taken = items[: rows.chunk_items - within]
            with (self._path / chunk_key(stream, chunk, rows)).open("ab") as file:
                file.write(taken.reshape(-1).view(np.uint8).data)
            self._written[stream] += len(taken)
            items = items[len(taken) :]

    def finish(self) -> None:
        """Complete the chunk files and describe them."""
        import zarr
        from zarr.storage import LocalStore

        group = zarr.create_group(LocalStore(self._path), zarr_format=3)
        for name, rows in self._streams.items():
            items = self._written[name]
            if items <= rows.chunk_items:
                # All fits into one chunk: that need not be longer than what it holds.
                rows.chunk_items = max(1, items)
            self._fill_up(name, rows)
            file = file_dtype(rows.dtype)
            group.create_array(
                name,
                shape=(items, *rows.shape),
                dtype=file.dtype,
                chunks=(rows.chunk_items, *rows.shape),
                # One file a chunk, without a folder for each dimension.
                chunk_key_encoding={"name": "default", "separator": "."},
                # A chunk that is lost then reads as NaN, not as plausible zeros.
                fill_value=file.fill,
                filters=None,
                compressors=None,
                config={"write_empty_chunks": True},
                attributes=file.attributes,
            )

    def discard(self) -> None:
        """Nothing is open."""

    def _fill_up(self, stream: str, rows: StreamRows) -> None:
        """Make the last chunk's file as long as the others."""
        file, left = file_dtype(rows.dtype), -self._written[stream] % rows.chunk_items
        fill = np.full((max(1, _FILL_BYTES // rows.item_bytes), *rows.shape), file.fill, file.dtype)
        for first in range(0, left, len(fill)):
            self.append(stream, fill[: left - first])


def spans(stream: str, rows: StreamRows, first: int, count: int, item_bytes: int) -> list[Span]:
    """Where items `first` to `first + count` lie in a group that keeps each chunk in a file."""
    return [
        Span(f"/{chunk_key(stream, chunk, rows)}", within * item_bytes, items * item_bytes)
        for chunk, within, items in pieces(rows, first, count)
    ]


def chunk_key(stream: str, file: int, rows: StreamRows) -> str:
    """Path of a chunk's file in the group: only the first dimension is divided (Zarr v3, default keys)."""
    return f"{stream}/c.{file}" + ".0" * len(rows.shape)


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
