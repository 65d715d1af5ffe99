"""SIGTERM, as batch systems send it before they kill, ends a job the way Ctrl-C does."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_TERMINATED = 128 + signal.SIGTERM


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
