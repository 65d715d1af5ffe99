"""Reads by position from a file that a committed part must have."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.errors import DamagedPart


@contextmanager
def opened(file: Path) -> Iterator[int]:
    """A descriptor of the file, closed at the end. Raises DamagedPart."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise DamagedPart(
            f"{file} cannot be opened ({error.strerror}), although its part was committed"
        ) from None
    try:
        yield descriptor
    except OSError as error:
        raise DamagedPart(f"{file} cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)


def read_into(descriptor: int, file: Path, position: int, target: memoryview) -> None:
    """Fill `target` with the file's bytes from `position` on. Raises DamagedPart where it ends before."""
    done = 0
    while done < len(target):
        got = os.preadv(descriptor, [target[done:]], position + done)
        if got == 0:
            size = os.fstat(descriptor).st_size
            raise DamagedPart(
                f"{file} is too short: {size:,} bytes, expected at least {position + len(target):,}"
            )
        done += got
