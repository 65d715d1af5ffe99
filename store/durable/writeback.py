"""Brings files to the disk while more is being written, so that a commit finds little left to wait for."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from store.durable.commit import sync

_BYTES = 32 << 20
"""Written since the last time before it is worth asking again."""


class WriteBack:
    """One thread that syncs what is complete; used by one thread, and only for as long as a part is open."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "write-back")
        self._asked: list[Future[None]] = []
        self._since = 0

    def written(self, path: Path, count: int) -> None:
        """`count` more bytes have been written to the file."""
        self._since += count
        if self._since >= _BYTES:
            self._since = 0
            self._asked.append(self._pool.submit(sync, path))

    def finish(self) -> None:
        """Wait for it. Raises OSError where the disk refused what it had taken."""
        self._pool.shutdown()
        for future in self._asked:
            future.result()

    def stop(self) -> None:
        """The files are not wanted any more."""
        self._pool.shutdown(cancel_futures=True)
