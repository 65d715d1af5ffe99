"""Reads by position from the files of a committed part.

Nothing stays open and nothing is shared: threads, forked and spawned processes may all read. What Python
does around the system's call is kept little, as it runs with caches that the features have just emptied:
each microsecond elsewhere is four here.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.backends.spans import Span
from store.errors import DamagedPart


def read_spans(part: str, spans: Sequence[Span], out: NDArray[Any]) -> None:
    """Fill `out`, which is C-contiguous, with these bytes of a part, one span after the other.

    Raises DamagedPart where a file is missing or too short.
    """
    content = out.view(np.uint8)  # as bytes, because the buffer protocol does not know bfloat16
    if len(spans) == 1:
        _fill(part + spans[0].file, spans[0].start, content)
        return
    content = content.reshape(-1)
    for file, start, size in spans:
        _fill(part + file, start, content[:size])
        content = content[size:]


def _fill(file: str, start: int, target: NDArray[np.uint8]) -> None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise DamagedPart(
            f"{file} cannot be opened ({error.strerror}), although its part was committed"
        ) from None
    try:
        while got := os.preadv(descriptor, [target.data], start):
            if got == target.nbytes:
                return
            target = target.reshape(-1)[got:]
            start += got
        size, expected = os.fstat(descriptor).st_size, start + target.nbytes
        raise DamagedPart(f"{file} is too short: {size:,} bytes, expected at least {expected:,}")
    except OSError as error:
        raise DamagedPart(f"{file} cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
