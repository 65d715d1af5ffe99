"""Writes a part as one HDF5 file with h5py: an uncompressed dataset for each stream, in large chunks."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from store.chunks import ChunkBuffer, Layout
from store.dtypes import array_dtype, file_dtype
from store.marker import StreamShape

_CHUNK_BYTES = 8 << 20
"""The last chunk of a dataset is as long as the others, so that large ones would waste the disk."""


class Hdf5Body:
    """The part's file: videos are concatenated along the first dimension of each stream's dataset.

    How many items will come is not known, so the datasets are chunked. No filter touches a chunk: it goes
    to its place in the file once, as it is, and stays there.
    """

    def __init__(
        self, path: Path, streams: Mapping[str, StreamShape], chunk_bytes: int | None = None
    ) -> None:
        # Nobody else knows the file yet, and some network file systems refuse locks.
        with _os_errors():
            self._file = h5py.File(path, "x", locking=False)
        self._datasets = {name: _GrowingDataset(self._file, name, stream) for name, stream in streams.items()}
        self._streams = {
            name: ChunkBuffer(
                stream.shape,
                array_dtype(stream.dtype),
                max(1, (chunk_bytes or _CHUNK_BYTES) // stream.item_bytes),
                self._datasets[name].write,
            )
            for name, stream in streams.items()
        }

    def append(self, stream: str, items: NDArray[Any]) -> None:
        """Add items [n, *stream shape] of the stream's dtype."""
        with _os_errors():
            self._streams[stream].append(items)

    def finish(self) -> dict[str, Layout]:
        """Write what is buffered and close the file. Returns stream → layout."""
        with _os_errors():
            items = {name: stream.finish() for name, stream in self._streams.items()}
            layouts = {name: Layout(items[name], self._datasets[name].chunk_offsets()) for name in items}
            self._file.close()
        return layouts

    def discard(self) -> None:
        """Close the file."""
        # It is removed next: that the rest of it could not be written does not matter.
        with suppress(RuntimeError, OSError):
            self._file.close()


class _GrowingDataset:
    def __init__(self, file: h5py.File, name: str, stream: StreamShape) -> None:
        self._parent = file
        self._name = name
        self._shape = stream.shape
        self._file = file_dtype(stream.dtype)
        self._dataset: h5py.Dataset | None = None

    def write(self, first: int, count: int, chunk: NDArray[Any]) -> None:
        """See WriteChunk."""
        if self._dataset is None:
            self._dataset = self._create(len(chunk))
        self._dataset.resize(first + count, axis=0)
        chunk[count:] = 0  # a chunk in the file has its full length: no older items may show in its end
        self._dataset.id.write_direct_chunk((first, *[0] * len(self._shape)), chunk.view(self._file.dtype))

    def chunk_offsets(self) -> tuple[int, ...]:
        """Byte offset of each chunk in the file."""
        return () if self._dataset is None else chunk_offsets(self._dataset)

    def _create(self, chunk_items: int) -> h5py.Dataset:
        dataset = self._parent.create_dataset(
            self._name,
            shape=(0, *self._shape),
            maxshape=(None, *self._shape),
            chunks=(chunk_items, *self._shape),
            dtype=self._file.dtype,
            # A chunk that is lost then reads as NaN, not as plausible zeros.
            fillvalue=self._file.fill,
        )
        dataset.attrs.update(self._file.attributes)
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
