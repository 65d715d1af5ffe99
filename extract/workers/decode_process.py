"""One decode worker, seen from the process that started it."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing.process import BaseProcess
from types import ModuleType

from config.processes import served
from extract.tasks import Refused
from extract.workers.messages import Attempt, Ended, VideoMessage
from extract.workers.transport import PIECE_BYTES, PIECES, Buffers, EncoderEnd, Ring
from extract.workers.worker import WorkerConfig, work

START_SECONDS = 120.0
"""Within which a process must be ready for its first video."""

_COUNTED_SECONDS = 10.0
_KILL_SECONDS = 5.0


class DecodeProcess:
    """A worker process. It has a connection and memory that no other process shares, and no lock."""

    def __init__(self, config: WorkerConfig, buffers: Buffers) -> None:
        """`buffers`: for the chunks that it sends."""
        ring = Ring(PIECES, PIECE_BYTES)
        context = served(work.__module__)
        self.connection, far_end = context.Pipe(duplex=True)
        self._process: BaseProcess = context.Process(target=work, args=(far_end, ring, config), daemon=True)
        needs_program = any(type(encoder).__module__ == "__main__" for encoder in config.in_worker.values())
        with nullcontext() if needs_program else _unnamed_program():
            self._process.start()
        # Only when nobody else holds it does the worker's death close the connection.
        far_end.close()
        ring.close()
        self._end = EncoderEnd(self.connection, ring, buffers)
        self._silent_seconds = 0.0
        self._looked = time.monotonic()
        self.ready = False
        """Whether it has started."""
        self.attempt: Attempt | None = None
        """What it is at."""

    @property
    def pid(self) -> int:
        """Number of the process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def sentinel(self) -> int:
        """Ready, for `multiprocessing.connection.wait`, when the process has ended."""
        return self._process.sentinel

    @property
    def idle(self) -> bool:
        """Whether it waits for a video."""
        return self.ready and self.attempt is None

    def give(self, attempt: Attempt) -> None:
        """Let it decode a video."""
        self.attempt = attempt
        self._heard()
        with suppress(OSError):  # It has died: reading will tell.
            self.connection.send(attempt.task)

    def receive(self) -> VideoMessage | None:
        """What its next message says of the video, if it does. Raises EOFError or OSError if it has died."""
        message = self._end.receive()
        self._heard()
        self.ready = True
        if isinstance(message, Ended | Refused):
            self.attempt = None
        return message

    def silent_too_long(self, budget_seconds: float) -> bool:
        """Whether it has worked, or tried to start, for too long without a word.

        To be asked while nothing of it waits to be read. A long time between two questions counts little:
        then it was this process, or the whole machine, that stood still.
        """
        now = time.monotonic()
        self._silent_seconds += min(now - self._looked, _COUNTED_SECONDS)
        self._looked = now
        return not self.idle and self._silent_seconds > (budget_seconds if self.ready else START_SECONDS)

    def kill(self) -> str:
        """End it, whatever it is at. Returns how it ended, in words."""
        self._process.kill()
        self._process.join(_KILL_SECONDS)
        code = self._process.exitcode
        self.connection.close()
        if code is None:
            return "it cannot be killed: it waits for its storage"
        self._process.close()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def _heard(self) -> None:
        self._silent_seconds = 0.0
        self._looked = time.monotonic()


@contextmanager
def _unnamed_program() -> Iterator[None]:
    """Hide which program this process runs: a new process would run it again, with all its imports.

    Where an encoder of the worker's is defined in that program, it must.
    """
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program
