"""A ring of shared memory between a decode worker and the process that encodes what it decodes."""

import mmap
import os
import tempfile
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pieces = NDArray[np.uint8]
"""uint8 [pieces, bytes of one]."""


class Ring:
    """Memory for so many pieces of so many bytes, which a spawned process shares when it is given the ring.

    The memory has no name: whichever of the two dies, by whatever signal, the system frees it with the
    other. It is no part of /dev/shm, which containers often limit to 64 MiB. Pages that were never used
    take no memory.
    """

    def __init__(self, pieces: int, piece_bytes: int) -> None:
        self._open(_anonymous_file(pieces * piece_bytes), pieces, piece_bytes)

    def _open(self, descriptor: int, pieces: int, piece_bytes: int) -> None:
        self._descriptor = descriptor
        memory = mmap.mmap(descriptor, pieces * piece_bytes)
        self.pieces: Pieces = np.frombuffer(memory, np.uint8).reshape(pieces, piece_bytes)

    def close(self) -> None:
        """Let go of the file; the memory goes with the last array that looks into it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __getstate__(self) -> tuple[Any, int, int]:
        return DupFd(self._descriptor), *self.pieces.shape

    def __setstate__(self, state: tuple[Any, int, int]) -> None:
        handle, pieces, piece_bytes = state
        self._open(handle.detach(), pieces, piece_bytes)


def _anonymous_file(size_bytes: int) -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("frames")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size_bytes)
    return descriptor
