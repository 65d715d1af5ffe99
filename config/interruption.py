"""SIGTERM, as batch systems send it before they kill, and Ctrl-C end a job in good order."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from config.errors import Problem

_TERMINATED = 128 + signal.SIGTERM


class Interrupted(Problem):
    """A job stopped because it was told to, after it had put away what it had; its status says by what."""

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
    """Within the block, SIGTERM and Ctrl-C are only noted: the job ends where it is ready to.

    Elsewhere than in the main thread, nothing is changed: only that one may handle signals.
    """
    requests = Requests()
    if threading.current_thread() is not threading.main_thread():
        yield requests
        return
    before = {number: signal.signal(number, requests.note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stops_on_sigterm() -> Iterator[None]:
    """Within the block, SIGTERM raises SystemExit, so that what is finished is put away first.

    Elsewhere than in the main thread, nothing is changed: only that one may handle signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(_number: int, _frame: FrameType | None) -> None:
    # A second one must not interrupt what the first one began.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(_TERMINATED)
