"""SIGTERM, as batch systems send it before they kill, and Ctrl-C end a job in good order."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from config.errors import Problem


class Interrupted(Problem):
    """A job stopped because it was asked to, after it had put away what it had; its status says by what."""

    def __init__(self, message: str, stopped_by: signal.Signals) -> None:
        super().__init__(message)
        self.status = 128 + stopped_by


class Requests:
    """What a job has been asked since it began."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Remember the signal; a second Ctrl-C is no longer waited with."""
        if self.signal == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


@contextmanager
def remembers_signals() -> Iterator[Requests]:
    """Within the block, SIGTERM and Ctrl-C are only noted: the job ends where it is ready to."""
    requests = Requests()
    with _handled(requests.note, signal.SIGTERM, signal.SIGINT):
        yield requests


def stops_on_sigterm() -> AbstractContextManager[None]:
    """Within the block, SIGTERM raises SystemExit, so that what is finished is put away first."""
    return _handled(_stop, signal.SIGTERM)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None], *signals: signal.Signals) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread may handle signals.
        return
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, known in before.items():
            signal.signal(number, known)


def _stop(number: int, _frame: FrameType | None) -> None:
    # A second one must not interrupt what the first one began.
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)
