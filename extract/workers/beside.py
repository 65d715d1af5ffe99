"""Encoders without a model at work on one video, beside its decoder."""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from extract.encoders.base import Encoder, Features, WholeVideoEncoder, joined
from extract.video.view import Chunk
from extract.workers.transport import Buffers

AHEAD_BYTES = 512 * 2**20
"""Frames of chunks that wait for a thread, or are with one: what bounds memory where frames are large."""


class EncodedAtOnce:
    """The encoder gives each chunk's features when it is given the chunk."""

    def __init__(self, encoder: Encoder, buffers: Buffers) -> None:
        """`buffers`: where the chunks' memory goes back to."""
        self._encoder = encoder
        self._buffers = buffers
        self.seconds = 0.0
        """Spent on encoding so far, added up over threads."""

    def encode(self, chunk: Chunk) -> Features:
        """The next chunk's features."""
        features, seconds = _timed(self._encoder, chunk)
        self._buffers.give_back(chunk)
        self.seconds += seconds
        return features

    def close(self) -> None:
        """Nothing is at work between chunks."""


class EncodedAtTheEnd:
    """The encoder gives features when the video is over; until then, threads encode what is decoded."""

    def __init__(self, encoder: WholeVideoEncoder, threads: int, buffers: Buffers) -> None:
        """`buffers`: see EncodedAtOnce."""
        self._encoder = encoder
        self._buffers = buffers
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._running: deque[tuple[Chunk, Future[tuple[Features, float]]]] = deque()
        self._running_bytes = 0
        self._done: list[Features] = []
        self.seconds = 0.0
        """See EncodedAtOnce."""

    def encode(self, chunk: Chunk) -> Features:
        """Take the next chunk: there is nothing to give yet. Waits while the threads have enough to do."""
        if self._threads == 1:
            self._keep(chunk, *_timed(self._encoder, chunk))
            return {}
        if self._pool is None:
            # The threads are enough; and of what they do, none is to set or lift the limit for the others.
            self._blas = threadpool_limits(1, "blas")
            self._pool = ThreadPoolExecutor(self._threads, "encode beside")
        size = _bytes(chunk)
        while self._running and (
            len(self._running) >= self._threads or self._running_bytes + size > AHEAD_BYTES
        ):
            self._wait()
        self._running_bytes += size
        self._running.append((chunk, self._pool.submit(_timed, self._encoder, chunk)))
        return {}

    def finish(self) -> Features:
        """The features of the video, all of whose chunks have been given. Raises what the encoder raises."""
        while self._running:
            self._wait()
        started = time.perf_counter()
        features = self._encoder.finish(joined(self._done))
        self.seconds += time.perf_counter() - started
        self.close()
        return features

    def close(self) -> None:
        """Give up what is not finished."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
            self._blas.restore_original_limits()

    def _wait(self) -> None:
        """For the oldest of the chunks."""
        chunk, encoded = self._running.popleft()
        self._running_bytes -= _bytes(chunk)
        self._keep(chunk, *encoded.result())

    def _keep(self, chunk: Chunk, features: Features, seconds: float) -> None:
        self._buffers.give_back(chunk)
        self._done.append(features)
        self.seconds += seconds


def encoding(encoder: Encoder, threads: int, buffers: Buffers) -> EncodedAtOnce | EncodedAtTheEnd:
    """The encoder, ready for one video."""
    if isinstance(encoder, WholeVideoEncoder):
        return EncodedAtTheEnd(encoder, threads, buffers)
    return EncodedAtOnce(encoder, buffers)


def _timed(encoder: Encoder, chunk: Chunk) -> tuple[Features, float]:
    started = time.perf_counter()
    (features,) = encoder.encode([chunk])
    return features, time.perf_counter() - started


def _bytes(chunk: Chunk) -> int:
    return sum(frames.nbytes for frames in chunk.frames.values())
