"""The two ends between a decode worker and the process of the encoders: messages by a pipe, frames by memory.

A chunk of any size travels in pieces, each by way of the next place of a ring in shared memory. The receiver
copies a piece out and says that its place is free; a sender without a free place waits. By this backpressure,
what is on the way is bounded, and neither side ever guesses how large a chunk will be.
"""

import mmap
import os
import tempfile
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.tasks import VideoTask
from extract.video.view import Chunk
from extract.workers.messages import Decoded, VideoMessage

PIECE_BYTES = 1 << 20
PIECES = 16
"""Of one worker's ring: what it may decode ahead of the encoders."""

Shape = tuple[int, ...]
Bytes = NDArray[np.uint8]


class Buffers:
    """Arrays by shape; used by one thread. There are never more than were in use at the same time."""

    def __init__(self) -> None:
        self._free: dict[Shape, list[Bytes]] = {}

    def allocate(self, shape: Shape) -> Bytes:
        """An array with any content."""
        free = self._free.get(shape)
        return free.pop() if free else np.empty(shape, np.uint8)

    def give_back(self, chunk: Chunk) -> None:
        """Take the chunk's arrays back: nobody looks at them any more."""
        for frames in chunk.frames.values():
            self._free.setdefault(frames.shape, []).append(np.asarray(frames))


class Ring:
    """Memory for so many pieces of so many bytes, which another process shares when it is given the ring.

    The memory has no name: whichever of the two dies, by whatever signal, the system frees it with the
    other. It is no part of /dev/shm, which containers often limit to 64 MiB. Pages that were never used
    take no memory.
    """

    def __init__(self, pieces: int, piece_bytes: int) -> None:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("frames")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, pieces * piece_bytes)
        self._open(descriptor, pieces, piece_bytes)

    def _open(self, descriptor: int, pieces: int, piece_bytes: int) -> None:
        self._descriptor = descriptor
        memory = mmap.mmap(descriptor, pieces * piece_bytes)
        self.pieces: Bytes = np.frombuffer(memory, np.uint8).reshape(pieces, piece_bytes)

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


@dataclass(frozen=True)
class ChunkHeader:
    """A chunk without its frames, which follow in the order of `shapes`: request name → shape."""

    encoder: str
    chunk: Chunk
    shapes: dict[str, Shape]


@dataclass(frozen=True)
class Piece:
    """The ring's next place holds the next so many bytes of the chunk."""

    count_bytes: int


@dataclass(frozen=True)
class PlaceFree:
    """A place of the ring is free again."""


class WorkerEnd:
    """The worker's end: takes tasks, sends messages. Raises EOFError or OSError if the other end has died."""

    def __init__(self, connection: Connection, ring: Ring) -> None:
        self._connection = connection
        self._places = ring.pieces
        self._free = len(ring.pieces)
        self._next = 0

    def next_task(self) -> VideoTask:
        """Wait for the next video."""
        while isinstance(message := self._connection.recv(), PlaceFree):
            self._free += 1
        task: VideoTask = message
        return task

    def send(self, message: VideoMessage) -> None:
        """Send a message; a chunk as soon as there is room, and its frames may change afterwards."""
        if not isinstance(message, Decoded):
            self._connection.send(message)
            return
        frames = message.chunk.frames
        shapes = {name: array.shape for name, array in frames.items()}
        self._connection.send(ChunkHeader(message.encoder, replace(message.chunk, frames={}), shapes))
        for array in frames.values():
            flat = np.ascontiguousarray(array).reshape(-1)
            for start in range(0, flat.size, self._places.shape[1]):
                self._send_piece(flat[start : start + self._places.shape[1]])

    def _send_piece(self, content: Bytes) -> None:
        if self._free == 0:
            # Nothing else comes while a video is being decoded.
            self._connection.recv()
            self._free += 1
        self._places[self._next, : content.size] = content
        self._connection.send(Piece(content.size))
        self._free -= 1
        self._next = (self._next + 1) % len(self._places)


class EncoderEnd:
    """The encoders' end: puts the chunks together again, in memory of their own."""

    def __init__(self, connection: Connection, ring: Ring, buffers: Buffers) -> None:
        self._connection = connection
        self._buffers = buffers
        self._places = ring.pieces
        self._next = 0
        self._frames: dict[str, Bytes] = {}
        self._unfilled: list[Bytes] = []

    def receive(self) -> VideoMessage | None:
        """The worker's next message; None for a piece of a chunk. Raises EOFError or OSError if it died."""
        message: Any = self._connection.recv()
        if isinstance(message, ChunkHeader):
            self._header = message
            self._frames = {name: self._buffers.allocate(shape) for name, shape in message.shapes.items()}
            self._unfilled = [frames.reshape(-1) for frames in self._frames.values() if frames.size]
        elif isinstance(message, Piece):
            first, *others = self._unfilled
            first[: message.count_bytes] = self._places[self._next, : message.count_bytes]
            rest = first[message.count_bytes :]
            self._unfilled = [rest, *others] if rest.size else others
            self._next = (self._next + 1) % len(self._places)
            self._connection.send(PlaceFree())
        else:
            other: VideoMessage = message
            return other
        if self._unfilled:
            return None
        return Decoded(self._header.encoder, replace(self._header.chunk, frames=self._frames))
