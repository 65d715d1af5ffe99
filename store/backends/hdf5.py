"""A part as one HDF5 file: an uncompressed dataset for each stream, in large chunks.

How many items will come is not known, so the datasets are chunked, and each chunk is written once it is full.
h5py takes long to import, and readers never need it.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from store.backends.base import Fault, Span, differences, pieces
from store.format.dtypes import array_dtype, file_dtype
from store.format.marker import Marker, StreamRows

if TYPE_CHECKING:
    import h5py

_CHUNK_BYTES = 8 << 20
"""The last chunk of a dataset is as long as the others, so that large ones would waste the disk."""


class Hdf5Body:
    """The part's file: videos are concatenated along the first dimension of each stream's dataset."""

    def __init__(self, path: Path, streams: Mapping[str, StreamRows], chunk_bytes: int | None = None) -> None:
        import h5py

        # Nobody else knows the file yet, and some network file systems refuse locks.
        with _os_errors():
            self._file = h5py.File(path, "x", locking=False)
        self._datasets = {
            name: _GrowingDataset(self._file, name, rows, chunk_bytes or _CHUNK_BYTES)
            for name, rows in streams.items()
        }

    def append(self, stream: str, items: NDArray[Any]) -> None:
        """Add items [n, *stream shape] of the stream's dtype."""
        with _os_errors():
            self._datasets[stream].append(items)

    def finish(self) -> None:
        """Complete the datasets and close the file."""
        with _os_errors():
            for dataset in self._datasets.values():
                dataset.finish()
            self._file.close()

    def discard(self) -> None:
        """Close the file."""
        # It is removed next: that the rest of it could not be written does not matter.
        with suppress(RuntimeError, OSError):
            self._file.close()


class _GrowingDataset:
    """Collects items until they fill a chunk."""

    def __init__(self, file: "h5py.File", name: str, rows: StreamRows, chunk_bytes: int) -> None:
        self._file = file
        self._name = name
        self._rows = rows
        # Pages that are never filled are never given memory, so a small part stays small.
        chunk_items = max(1, chunk_bytes // rows.item_bytes)
        self._buffer = np.empty((chunk_items, *rows.shape), array_dtype(rows.dtype))  # [chunk, *shape]
        self._filled = 0
        self._written = 0
        self._dataset: h5py.Dataset | None = None

    def append(self, items: NDArray[Any]) -> None:
        """Add items [n, *shape]; they may change afterwards."""
        while len(items):
            taken = items[: len(self._buffer) - self._filled]
            self._buffer[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            if self._filled == len(self._buffer):
                self._write()
            items = items[len(taken) :]

    def finish(self) -> None:
        """Write what is left, and cut the dataset to the items that it has."""
        total = self._written + self._filled
        if self._dataset is None:
            # All fits into one chunk: that need not be longer than what it holds.
            self._buffer = self._buffer[: max(1, self._filled)]
        if self._filled or self._dataset is None:
            file = file_dtype(self._rows.dtype)
            self._buffer[self._filled :].view(file.dtype)[...] = file.fill
            self._write()
        assert self._dataset is not None
        self._dataset.resize(total, axis=0)
        self._rows.chunk_items = len(self._buffer)
        self._rows.chunk_offsets = _chunk_offsets(self._dataset)

    def _write(self) -> None:
        if self._dataset is None:
            self._dataset = self._create()
        corner = (self._written, *[0] * (self._buffer.ndim - 1))
        self._written += len(self._buffer)
        self._dataset.resize(self._written, axis=0)
        self._dataset.id.write_direct_chunk(corner, self._buffer.reshape(-1).view(np.uint8).data)
        self._filled = 0

    def _create(self) -> "h5py.Dataset":
        file = file_dtype(self._rows.dtype)
        dataset = self._file.create_dataset(
            self._name,
            (0, *self._rows.shape),
            file.dtype,
            maxshape=(None, *self._rows.shape),
            chunks=self._buffer.shape,
            # A chunk that is lost then reads as NaN, not as plausible zeros.
            fillvalue=file.fill,
        )
        dataset.attrs.update(file.attributes)
        return dataset


def spans(stream: str, rows: StreamRows, first: int, count: int, item_bytes: int) -> list[Span]:  # noqa: ARG001
    """Where items `first` to `first + count` lie; chunks that are side by side make one span."""
    found: list[Span] = []
    for chunk, within, items in pieces(rows, first, count):
        start, size = rows.chunk_offsets[chunk] + within * item_bytes, items * item_bytes
        if found and found[-1].start + found[-1].size == start:
            _, start, before = found.pop()
            size += before
        found.append(Span("", start, size))
    return found


def check(part: Path, marker: Marker) -> list[Fault]:
    """Where what plain HDF5 tools go by differs from the marker, stream by stream; empty if all is well."""
    import h5py

    try:
        with h5py.File(part, "r", locking=False) as file:
            return [fault for name, rows in marker.streams.items() for fault in _faults(file, name, rows)]
    except (OSError, RuntimeError) as error:
        return [Fault(None, f"{part} cannot be opened as HDF5: {error}")]


def _faults(file: "h5py.File", stream: str, rows: StreamRows) -> list[Fault]:
    where = f"{file.filename}, dataset {stream!r}"
    expected = file_dtype(rows.dtype)
    written = {
        "shape": [rows.total, *rows.shape],
        "dtype": expected.dtype,
        "attributes": expected.attributes,
        "chunk offsets": rows.chunk_offsets,
    }
    try:
        dataset = file[stream]
        found = {
            "shape": list(dataset.shape),
            "dtype": dataset.dtype,
            "attributes": {name: dataset.attrs[name] for name in expected.attributes},
            "chunk offsets": _chunk_offsets(dataset),
        }
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        return [Fault(stream, f"{where} cannot be read: {error!r}")]
    return differences(stream, where, found, written)


def _chunk_offsets(dataset: "h5py.Dataset") -> list[int]:
    """Byte offset of each chunk of a dataset in its file."""
    found: dict[int, int] = {}
    dataset.id.chunk_iter(lambda chunk: found.update({chunk.chunk_offset[0]: chunk.byte_offset}))
    return [found[first] for first in sorted(found)]


@contextmanager
def _os_errors() -> Iterator[None]:
    """h5py reports some refusals of the operating system as RuntimeError, with the number in its text."""
    try:
        yield
    except RuntimeError as error:
        number = re.search(r"errno = (\d+)", str(error))
        raise OSError(int(number[1]) if number else 0, str(error)) from error
