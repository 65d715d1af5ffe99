"""Batches of chunks on their way through the encoders of a device."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Generic, TypeVar

from extract.encoders.base import Encoder, Features
from extract.errors import EncoderError, UnreadableVideo
from extract.video.view import Chunk

Owner = TypeVar("Owner")

Encoded = Features | UnreadableVideo
"""Of a chunk: its features, or why there cannot be any."""

_BATCHES_AHEAD = 2
"""Of one encoder: one that is computed, and one that is ready for when it is done."""


class DeviceThreads:
    """The threads in which a device's encoders run: one for a CPU, two for a GPU.

    The second thread uploads and starts the next batch while the first waits for its results.
    """

    def __init__(self, device: str) -> None:
        self._lock = threading.Lock()
        self._active = 0
        self._since = 0.0
        self.busy_seconds = 0.0
        """In which at least one thread was encoding."""
        if device.startswith("cuda"):
            self._threads = ThreadPoolExecutor(2, "encode", _on_own_stream, (device,))
        else:
            self._threads = ThreadPoolExecutor(1, "encode")

    def encode(self, encoder: Encoder, chunks: Sequence[Chunk]) -> Future[list[Encoded]]:
        """Begin to encode a batch: its result has features, or why there are none, for each chunk."""
        return self._threads.submit(self._encode, encoder, chunks)

    def close(self) -> None:
        """Wait for what is being encoded, and give up what has not begun."""
        self._threads.shutdown(cancel_futures=True)

    def _encode(self, encoder: Encoder, chunks: Sequence[Chunk]) -> list[Encoded]:
        with self._counted():
            try:
                return list(encoder.encode(chunks))
            except UnreadableVideo as refused:
                if len(chunks) == 1:
                    return [refused]
                # The others of the batch are not to suffer for one.
                return [encoded for chunk in chunks for encoded in self._encode(encoder, [chunk])]
            except RuntimeError as error:
                if type(error).__name__ != "OutOfMemoryError":
                    raise
                reason = str(error).splitlines()[0]
                raise EncoderError(
                    f"the device is out of memory with {len(chunks)} chunks of a batch; use --batch with a"
                    f" smaller number ({reason})"
                ) from error

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._active += 1
            if self._active == 1:
                self._since = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1
                if self._active == 0:
                    self.busy_seconds += time.perf_counter() - self._since


def _on_own_stream(device: str) -> None:
    import torch

    if torch.device(device).index is not None:
        torch.cuda.set_device(device)
    torch.cuda.synchronize()  # the weights were uploaded on another stream
    torch.cuda.set_stream(torch.cuda.Stream())


class Batcher(Generic[Owner]):
    """Gathers the chunks of one encoder, of whichever videos, and encodes a batch when it is full."""

    def __init__(self, encoder: Encoder, threads: DeviceThreads) -> None:
        self._encoder = encoder
        self._threads = threads
        self._gathered: list[tuple[Owner, Chunk]] = []
        self._batches: deque[tuple[list[tuple[Owner, Chunk]], Future[list[Encoded]]]] = deque()

    def put(self, owner: Owner, chunk: Chunk) -> None:
        """Take a chunk. Waits while the encoder has as much ahead of it as it should."""
        self._gathered.append((owner, chunk))
        if len(self._gathered) == self._encoder.batch:
            self._submit()

    def finish(self) -> None:
        """Encode what has been gathered, full batch or not, and wait for everything."""
        if self._gathered:
            self._submit()
        wait([batch for _, batch in self._batches])

    def forget(self, owner: Owner) -> None:
        """Spare the work that has not begun for this owner."""
        self._gathered = [(whose, chunk) for whose, chunk in self._gathered if whose is not owner]

    @property
    def waits(self) -> bool:
        """Whether there are batches whose results were not taken."""
        return bool(self._batches)

    def results(self) -> Iterator[tuple[Owner, Chunk, Encoded]]:
        """What has been encoded since, in the order in which it was put.

        Raises what `encode` raised, but not behind results: the next call does.
        """
        begun = False
        while self._batches and self._batches[0][1].done():
            if begun and self._batches[0][1].exception() is not None:
                return
            begun = True
            gathered, batch = self._batches.popleft()
            for (owner, chunk), features in zip(gathered, batch.result(), strict=True):
                yield owner, chunk, features

    def _submit(self) -> None:
        running = [batch for _, batch in self._batches if not batch.done()]
        wait(running[: len(running) + 1 - _BATCHES_AHEAD])
        chunks = [chunk for _, chunk in self._gathered]
        self._batches.append((self._gathered, self._threads.encode(self._encoder, chunks)))
        self._gathered = []
