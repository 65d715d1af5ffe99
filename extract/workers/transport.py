"""Chunks from a decode worker to the process of the encoders: headers by a pipe, frames by shared memory.

A chunk of any size travels in pieces, each by way of the ring's next place. The receiver copies a piece out
and says that its place is free; a sender without a free place waits. By this backpressure, what is on the way
is bounded, and neither side ever guesses how large a chunk will be.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.video.view import Chunk

PIECE_BYTES = 1 << 20
PIECES = 16
"""Of one worker's ring: what it may decode ahead of the encoders."""

Shape = tuple[int, ...]
Pieces = NDArray[np.uint8]
"""uint8 [pieces, bytes of one]."""


class Buffers:
    """Arrays by shape; used by one thread. There are never more than were in use at the same time."""

    def __init__(self) -> None:
        self._free: dict[Shape, list[NDArray[np.uint8]]] = {}

    def allocate(self, shape: Shape) -> NDArray[np.uint8]:
        """An array with any content."""
        free = self._free.get(shape)
        return free.pop() if free else np.empty(shape, np.uint8)

    def give_back(self, chunk: Chunk) -> None:
        """Take the chunk's arrays back: nobody looks at them any more."""
        for frames in chunk.frames.values():
            self._free.setdefault(frames.shape, []).append(np.asarray(frames))


class Ring:
    """Memory for so many pieces of so many bytes, which a spawned process shares when it is given the ring.

    The memory has no name: whichever of the two dies, by whatever signal, the system frees it with the
    other. It is no part of /dev/shm, which containers often limit to 64 MiB. Pages that were never used
    take no memory.
    """

    def __init__(self, pieces: int, piece_bytes: int) -> None:
        self._open(_anonymous_file(pieces * piece_bytes), pieces, piece_bytes)

    def _open(self, descriptor: int, pieces: int, piece_bytes: int) -> None:
        self._descriptor = descriptor
        memory = mmap.mmap(descriptor, pieces * piece_bytes)
        self.pieces: Pieces = np.frombuffer(memory, np.uint8).reshape(pieces, piece_bytes)

    def close(self) -> None:
        """Let go of the file; the memory goes with the last array that looks into it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __getstate__(self) -> tuple[Any, int, int]:
        return DupFd(self._descriptor), *self.pieces.shape

    def __setstate__(self, state: tuple[Any, int, int]) -> None:
        handle, pieces, piece_bytes = state
        self._open(handle.detach(), pieces, piece_bytes)


def _anonymous_file(size_bytes: int) -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("frames")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size_bytes)
    return descriptor


@dataclass(frozen=True)
class ChunkHeader:
    """A chunk without its frames, which follow in the order of `shapes`."""

    encoder: str
    index: int
    start_seconds: float
    before: int
    after: int
    shapes: dict[str, Shape]
    """Request name → shape of its frames."""


@dataclass(frozen=True)
class Piece:
    """The ring's next place holds the next so many bytes of the chunk."""

    count_bytes: int


@dataclass(frozen=True)
class PlaceFree:
    """A place of the ring is free again."""


class ChunkSender:
    """The worker's side."""

    def __init__(self, connection: Connection, ring: Ring) -> None:
        self._connection = connection
        self._places = ring.pieces
        self._free = len(ring.pieces)
        self._next = 0

    def send(self, encoder: str, chunk: Chunk) -> None:
        """Send the chunk, as soon as there is room; its frames may change afterwards.

        Nothing but PlaceFree may come from the other side meanwhile.
        """
        shapes = {name: frames.shape for name, frames in chunk.frames.items()}
        self._connection.send(
            ChunkHeader(encoder, chunk.index, chunk.start_seconds, chunk.before, chunk.after, shapes)
        )
        for frames in chunk.frames.values():
            flat = np.ascontiguousarray(frames).reshape(-1)
            for start in range(0, flat.size, self._places.shape[1]):
                self._send_piece(flat[start : start + self._places.shape[1]])

    def place_free(self) -> None:
        """A PlaceFree has come."""
        self._free += 1

    def _send_piece(self, content: NDArray[np.uint8]) -> None:
        if self._free == 0:
            self._connection.recv()
            self.place_free()
        self._places[self._next, : content.size] = content
        self._connection.send(Piece(content.size))
        self._free -= 1
        self._next = (self._next + 1) % len(self._places)


class ChunkReceiver:
    """The encoders' side: puts the chunks together again, in memory of their own."""

    def __init__(self, connection: Connection, ring: Ring, buffers: Buffers) -> None:
        self._connection = connection
        self._buffers = buffers
        self._places = ring.pieces
        self._next = 0
        self._assembly: _Assembly | None = None

    def receive(self, message: ChunkHeader | Piece) -> tuple[str, Chunk] | None:
        """Take up the worker's next message. Returns (encoder, chunk) when it completes a chunk."""
        if isinstance(message, ChunkHeader):
            self._assembly = _Assembly(message, self._buffers)
        elif self._assembly is not None:
            self._assembly.add(self._places[self._next, : message.count_bytes])
            self._next = (self._next + 1) % len(self._places)
            self._connection.send(PlaceFree())
        if self._assembly is None or not self._assembly.complete:
            return None
        assembly, self._assembly = self._assembly, None
        return assembly.header.encoder, assembly.chunk()


class _Assembly:
    def __init__(self, header: ChunkHeader, buffers: Buffers) -> None:
        self.header = header
        self._frames = {name: buffers.allocate(shape) for name, shape in header.shapes.items()}
        self._missing = sum(prod(shape) for shape in header.shapes.values())
        self._gaps = self._unfilled()
        self._gap = np.empty(0, np.uint8)

    @property
    def complete(self) -> bool:
        return self._missing == 0

    def add(self, content: NDArray[np.uint8]) -> None:
        if not self._gap.size:
            self._gap = next(self._gaps)
        self._gap[: content.size] = content
        self._gap = self._gap[content.size :]
        self._missing -= content.size

    def chunk(self) -> Chunk:
        h = self.header
        return Chunk(h.index, h.start_seconds, self._frames, h.before, h.after)

    def _unfilled(self) -> Iterator[NDArray[np.uint8]]:
        for frames in self._frames.values():
            if frames.size:
                yield frames.reshape(-1)
