"""Features of a video in progress: in memory while they are few, then in a file without a name."""

import os
import tempfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from extract.encoders.base import Features
from store.errors import WriteFailed

MEMORY_BYTES = 32 << 20
"""Of one video's features that stay in memory, whatever its length."""


class _Place(NamedTuple):
    """Where a block lies in the file."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class OverflowFile:
    """Takes the features of a video's chunks, in order, and gives each stream back block by block.

    `folder`: of the file, which the system removes with this process, however that ends.
    """

    def __init__(self, folder: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._streams: dict[str, dict[str, Blocks]] = {}
        self._file: IO[bytes] | None = None
        self._in_memory: list[tuple[Blocks, int]] = []
        """Stream and number of every block that is not in the file."""
        self._in_memory_bytes = 0
        self.size_bytes = 0
        """Of all that was added."""

    def add(self, encoder: str, features: Features) -> None:
        """Take the next chunk's features, which must not change afterwards. Raises WriteFailed."""
        streams = self._streams.setdefault(encoder, {})
        for name, block in features.items():
            blocks = streams.setdefault(name, Blocks(self))
            self._in_memory.append((blocks, len(blocks.places)))
            blocks.places.append(block)
            self.size_bytes += block.nbytes
            self._in_memory_bytes += block.nbytes
        if self._in_memory_bytes > self._memory_bytes:
            self._spill()

    def streams(self, encoder: str) -> "dict[str, Blocks]":
        """Stream → its blocks [n_i, *stream shape], to be read any number of times."""
        return dict(self._streams.get(encoder, {}))

    def arrays(self) -> dict[str, Features]:
        """Encoder → stream → array [n, *stream shape], all in memory."""
        return {
            encoder: {name: np.concatenate(list(blocks)) for name, blocks in streams.items()}
            for encoder, streams in self._streams.items()
        }

    def close(self) -> None:
        """Free memory and file."""
        self._streams, self._in_memory = {}, []
        if self._file is not None:
            self._file.close()

    def read(self, place: _Place) -> NDArray[Any]:
        """The block that was written there."""
        assert self._file is not None
        content = os.pread(self._file.fileno(), prod(place.shape) * place.dtype.itemsize, place.offset)
        return np.frombuffer(content, place.dtype).reshape(place.shape)

    def _spill(self) -> None:
        """Write what is in memory at the end of the file."""
        try:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - see close
            for blocks, number in self._in_memory:
                block = blocks.places[number]
                assert isinstance(block, np.ndarray)
                blocks.places[number] = _Place(self._file.tell(), block.shape, block.dtype)
                left = block.tobytes()
                while left:
                    left = left[self._file.write(left) :]
        except OSError as error:
            raise WriteFailed(
                f"{self._folder}: a long video's features cannot be put aside there: {error.strerror}."
                " Committed videos are safe; the others are extracted when the command is run again."
            ) from error
        self._in_memory, self._in_memory_bytes = [], 0


class Blocks:
    """One stream's blocks [n_i, *stream shape], wherever they are."""

    def __init__(self, file: OverflowFile) -> None:
        self._file = file
        self.places: list[NDArray[Any] | _Place] = []

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for block in self.places:
            yield self._file.read(block) if isinstance(block, _Place) else block
