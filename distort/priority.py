"""Encoders that would take the machine for themselves."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def ordinary_priority() -> Iterator[None]:
    """Behind the block, all threads of this process are scheduled as the calling one was before it.

    SVT-AV1, where it may, as root in a container may, gives the process that opens it and its own threads the
    highest real-time priority: other processes then hardly run. Where threads cannot be named, on other
    systems than Linux, nothing is done.
    """
    if sys.platform != "linux":
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in (int(each.name) for each in Path("/proc/self/task").iterdir()):
            with suppress(ProcessLookupError):  # it has ended
                if os.sched_getscheduler(thread) != policy:
                    os.sched_setscheduler(thread, policy, priority)
