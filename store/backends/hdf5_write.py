"""Writes a part as one HDF5 file: an uncompressed dataset for each stream, in large chunks.

How many items will come is not known, so the datasets are chunked. h5py gives every chunk its place in the
file; no filter touches a chunk, so that the items' bytes are written to that place as they come.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from store.backends.chunks import Layout
from store.durable.writeback import WriteBack
from store.format.dtypes import file_dtype
from store.format.marker import StreamShape

_CHUNK_BYTES = 8 << 20
"""The last chunk of a dataset is as long as the others, so that large ones would waste the disk."""


class Hdf5Body:
    """The part's file: videos are concatenated along the first dimension of each stream's dataset."""

    def __init__(
        self, path: Path, streams: Mapping[str, StreamShape], chunk_bytes: int | None = None
    ) -> None:
        # Nobody else knows the file yet, and some network file systems refuse locks.
        with _os_errors():
            self._file = h5py.File(path, "x", locking=False)
        self._bytes = _FileBytes(path)
        self._datasets = {
            name: _GrowingDataset(
                self._file,
                self._bytes,
                name,
                stream,
                max(1, (chunk_bytes or _CHUNK_BYTES) // stream.item_bytes),
            )
            for name, stream in streams.items()
        }

    def append(self, stream: str, items: NDArray[Any]) -> None:
        """Add items [n, *stream shape] of the stream's dtype."""
        with _os_errors():
            self._datasets[stream].append(items)

    def finish(self) -> dict[str, Layout]:
        """Complete the datasets and close the file. Returns stream → layout."""
        with _os_errors():
            layouts = {name: dataset.finish() for name, dataset in self._datasets.items()}
            self._file.close()
        self._bytes.finish()
        return layouts

    def discard(self) -> None:
        """Close the file."""
        self._bytes.discard()
        # It is removed next: that the rest of it could not be written does not matter.
        with suppress(RuntimeError, OSError):
            self._file.close()


class _FileBytes:
    """Writes to places in a file that h5py has open too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        self._writeback = WriteBack()

    def write(self, position: int, items: NDArray[Any]) -> None:
        content = items.reshape(-1).view(np.uint8).data
        while content:
            written = os.pwrite(self._descriptor, content, position)
            content, position = content[written:], position + written
        self._writeback.written(self._path, items.nbytes)

    def finish(self) -> None:
        """Raises OSError where the disk refused what it had taken."""
        self._close()
        self._writeback.finish()

    def discard(self) -> None:
        self._writeback.stop()
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class _GrowingDataset:
    """A dataset whose chunks get their places in the file before anything is in them."""

    def __init__(
        self, file: h5py.File, content: _FileBytes, name: str, stream: StreamShape, chunk_items: int
    ) -> None:
        self._file = file
        self._content = content
        self._name = name
        self._stream = stream
        self._chunk_items = chunk_items
        self._first: list[NDArray[Any]] = []
        """Copies of what the first chunk holds, until it is full."""
        self._items = 0
        self._positions: list[int] = []
        self._dataset: h5py.Dataset | None = None

    def append(self, items: NDArray[Any]) -> None:
        """Add items [n, *shape]; they may change afterwards."""
        self._items += len(items)
        if self._dataset is not None:
            self._write(self._dataset, items)
        elif self._items < self._chunk_items:
            self._first.append(items.copy())
        else:
            self._begin(items)

    def finish(self) -> Layout:
        """Cut the dataset to the items that it has."""
        if self._dataset is None:
            # All fits into one chunk: that need not be longer than what it holds.
            self._chunk_items = max(1, self._items)
            self._begin()
        assert self._dataset is not None
        self._dataset.resize(self._items, axis=0)
        return Layout(self._chunk_items, tuple(self._positions))

    def _begin(self, *items: NDArray[Any]) -> None:
        self._dataset = self._create()
        first, self._first = [*self._first, *items], []
        if first:
            self._write(self._dataset, np.concatenate(first))

    def _write(self, dataset: h5py.Dataset, items: NDArray[Any]) -> None:
        """Write the last of all items."""
        self._allocate(dataset)
        at = self._items - len(items)
        while len(items):
            chunk, within = divmod(at, self._chunk_items)
            taken = items[: self._chunk_items - within]
            self._content.write(self._positions[chunk] + within * self._stream.item_bytes, taken)
            items, at = items[len(taken) :], at + len(taken)

    def _allocate(self, dataset: h5py.Dataset) -> None:
        needed = -(-self._items // self._chunk_items)
        if needed > len(self._positions):
            dataset.resize(needed * self._chunk_items, axis=0)
        for chunk in range(len(self._positions), needed):
            corner = (chunk * self._chunk_items, *[0] * len(self._stream.shape))
            self._positions.append(dataset.id.get_chunk_info_by_coord(corner).byte_offset)

    def _create(self) -> h5py.Dataset:
        file, shape = file_dtype(self._stream.dtype), self._stream.shape
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((self._chunk_items, *shape))
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        # A chunk that is lost then reads as NaN, not as plausible zeros.
        plan.set_fill_value(np.array(file.fill, file.dtype))
        space = h5py.h5s.create_simple((0, *shape), (h5py.h5s.UNLIMITED, *shape))
        kind = h5py.h5t.py_create(file.dtype)
        dataset = h5py.Dataset(h5py.h5d.create(self._file.id, self._name.encode(), kind, space, dcpl=plan))
        dataset.attrs.update(file.attributes)
        return dataset


def chunk_offsets(dataset: h5py.Dataset) -> tuple[int, ...]:
    """Byte offset of each chunk of a dataset in its file."""
    found: dict[int, int] = {}
    dataset.id.chunk_iter(lambda chunk: found.update({chunk.chunk_offset[0]: chunk.byte_offset}))
    return tuple(found[first] for first in sorted(found))


@contextmanager
def _os_errors() -> Iterator[None]:
    """h5py reports some refusals of the operating system as RuntimeError, with the number in its text."""
    try:
        yield
    except RuntimeError as error:
        number = re.search(r"errno = (\d+)", str(error))
        raise OSError(int(number[1]) if number else 0, str(error)) from error
