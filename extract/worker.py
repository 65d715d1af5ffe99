"""What a decode worker does: take the next video, decode it once, send blocks of its chunks."""

import logging
import multiprocessing
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch.utils.data import IterableDataset, get_worker_info

from extract.decode import VideoInfo, decode
from extract.encoders.base import Chunk, Encoder, FrameRequest
from extract.errors import UnreadableVideo
from extract.transport import SharedChunks, share

logger = logging.getLogger(__name__)

Features = dict[str, dict[str, NDArray[Any]]]
"""Encoder name → stream name → array [chunks, *stream shape]."""


@dataclass(frozen=True)
class VideoTask:
    """A video and the encoders that still lack it."""

    video: str
    path: Path
    encoders: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Consecutive chunks of one video: pictures for the device encoders, features of the others."""

    video: str
    first_chunk: int
    chunks: list[Chunk] | SharedChunks
    features: Features


@dataclass(frozen=True)
class Decoded:
    """All blocks of the video have been sent."""

    video: str
    info: VideoInfo
    seconds: dict[str, float]


@dataclass(frozen=True)
class Failed:
    """The video gives no features; blocks that were sent of it are void."""

    video: str
    kind: str
    message: str


Message = Block | Decoded | Failed


class DecodeDataset(IterableDataset[Message]):
    """Messages of all videos. Workers share one counter, so that none idles behind a long video.

    `requests`: encoder → its requests. `in_worker`: the encoders that run here instead of on a device.
    `shared`: whether the pictures for the others go through shared memory.
    """

    def __init__(
        self,
        tasks: list[VideoTask],
        requests: Mapping[str, Mapping[str, FrameRequest]],
        in_worker: Mapping[str, Encoder],
        block_chunks: int,
        shared: bool,
    ) -> None:
        self.tasks = tasks
        self._requests = requests
        self._in_worker = in_worker
        self._block_chunks = block_chunks
        self._shared = shared
        self._taken = multiprocessing.get_context("spawn").Value("q", 0)

    @property
    def taken(self) -> int:
        """How many tasks have been begun."""
        return int(self._taken.value)

    def __iter__(self) -> Iterator[Message]:
        inline = get_worker_info() is None
        with threadpool_limits(None if inline else 1):
            while (number := self._take()) is not None:
                yield from self._messages(self.tasks[number])

    def _take(self) -> int | None:
        with self._taken.get_lock():
            task = self._taken.value
            if task >= len(self.tasks):
                return None
            self._taken.value += 1
            return int(task)

    def _messages(self, task: VideoTask) -> Iterator[Message]:
        requests = {
            f"{encoder}/{name}": request
            for encoder in task.encoders
            for name, request in self._requests[encoder].items()
        }
        seconds = {"decode": 0.0, "encode in workers": 0.0}
        decoding = decode(task.path, requests)
        try:
            while True:
                started = time.perf_counter()
                chunks = list(islice(decoding, self._block_chunks))
                decoded = time.perf_counter()
                seconds["decode"] += decoded - started
                if not chunks:
                    break
                block = self._block(task, chunks)
                seconds["encode in workers"] += time.perf_counter() - decoded
                yield block
            yield Decoded(task.video, decoding.info, seconds)
        except UnreadableVideo as error:
            yield Failed(task.video, error.kind, str(error))
        except Exception as error:
            # A defect of ours, met on one video of thousands, must not stop the others.
            logger.exception("%s: unexpected error", task.path)
            yield Failed(task.video, "defect", f"{task.path}: {type(error).__name__}: {error}")
        finally:
            decoding.close()

    def _block(self, task: VideoTask, chunks: list[Chunk]) -> Block:
        features = {
            name: encoder.encode(chunks_for(name, chunks))
            for name, encoder in self._in_worker.items()
            if name in task.encoders
        }
        for_device = [_without(chunk, self._in_worker) for chunk in chunks]
        sent = share(for_device) if self._shared else for_device
        return Block(task.video, chunks[0].index, sent, features)


def chunks_for(encoder: str, chunks: list[Chunk]) -> list[Chunk]:
    """The chunks as the encoder asked for them: its own requests, under its own names."""
    prefix = f"{encoder}/"
    return [
        Chunk(
            chunk.index,
            chunk.start_seconds,
            {
                name.removeprefix(prefix): frames
                for name, frames in chunk.frames.items()
                if name.startswith(prefix)
            },
        )
        for chunk in chunks
    ]


def _without(chunk: Chunk, encoders: Mapping[str, Encoder]) -> Chunk:
    kept = {name: frames for name, frames in chunk.frames.items() if name.split("/")[0] not in encoders}
    return Chunk(chunk.index, chunk.start_seconds, kept)
