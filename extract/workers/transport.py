"""Chunks from a decode worker to the process of the encoders: headers by a pipe, frames by a ring.

A chunk of any size travels in pieces, each by way of the ring's next place. The receiver copies a piece
out and returns a credit for its place; a sender without credit waits. So what is on the way is bounded, and
neither side ever guesses how large a chunk will be.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from extract.video.view import Chunk
from extract.workers.buffers import Buffers, Shape
from extract.workers.ring import Ring

PIECE_BYTES = 1 << 20
PIECES = 16
"""Of one worker's ring: what it may decode ahead of the encoders."""


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
class Credit:
    """A place of the ring is free again."""


class ChunkSender:
    """The worker's side."""

    def __init__(self, connection: Connection, ring: Ring) -> None:
        self._connection = connection
        self._places = ring.pieces
        self._credits = len(ring.pieces)
        self._next = 0

    def send(self, encoder: str, chunk: Chunk) -> None:
        """Send the chunk, as soon as there is room; its frames may change afterwards.

        Nothing but Credits may come from the other side meanwhile.
        """
        shapes = {name: frames.shape for name, frames in chunk.frames.items()}
        self._connection.send(
            ChunkHeader(encoder, chunk.index, chunk.start_seconds, chunk.before, chunk.after, shapes)
        )
        for frames in chunk.frames.values():
            flat = np.ascontiguousarray(frames).reshape(-1)
            for start in range(0, flat.size, self._places.shape[1]):
                self._send_piece(flat[start : start + self._places.shape[1]])

    def credit(self) -> None:
        """A Credit has come."""
        self._credits += 1

    def _send_piece(self, content: NDArray[np.uint8]) -> None:
        if self._credits == 0:
            self._connection.recv()
            self.credit()
        self._places[self._next, : content.size] = content
        self._connection.send(Piece(content.size))
        self._credits -= 1
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
            self._connection.send(Credit())
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
