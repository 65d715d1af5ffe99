"""Cuts a stream of items into whole chunks, each written once."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Layout:
    """Where a finished part keeps the chunks of a stream."""

    chunk_items: int
    chunk_offsets: tuple[int, ...] = ()
    """Byte offset of each chunk in its file; empty where every chunk is a file."""
    chunk_sizes: tuple[int, ...] = ()
    """Bytes of each chunk, where they are compressed."""
    file_chunks: int = 0
    """Chunks in each file, where they are compressed."""


class WriteChunk(Protocol):
    """Takes the chunks of a stream, in order."""

    def __call__(self, first: int, count: int, chunk: NDArray[Any]) -> None:
        """Write items `first` to `first + count`: the beginning of `chunk` [chunk items, *shape].

        Only the last chunk may hold fewer items than fit. `chunk` is used again afterwards.
        """
        ...


class ChunkBuffer:
    """Collects items until they fill a chunk: at most one is in memory."""

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], chunk_items: int, write: WriteChunk
    ) -> None:
        # Pages that are never filled are never given memory, so a small part stays small.
        self._buffer = np.empty((chunk_items, *shape), dtype)  # [chunk, *shape]
        self._buffered = 0
        self._written = 0
        self._write_chunk = write

    def append(self, items: NDArray[Any]) -> None:
        """Add items [n, *shape]; they may change afterwards."""
        taken = 0
        while taken < len(items):
            count = min(len(items) - taken, len(self._buffer) - self._buffered)
            self._buffer[self._buffered : self._buffered + count] = items[taken : taken + count]
            self._buffered += count
            taken += count
            if self._buffered == len(self._buffer):
                self._write()

    def finish(self) -> int:
        """Write what is left. Returns the items in a chunk."""
        if self._written == 0:
            # All fits in one chunk: it need not be longer than what it holds.
            self._buffer = self._buffer[: max(1, self._buffered)]
        if self._buffered:
            self._write()
        return len(self._buffer)

    def _write(self) -> None:
        self._write_chunk(self._written, self._buffered, self._buffer)
        self._written += self._buffered
        self._buffered = 0
