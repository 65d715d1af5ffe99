"""How the C library treats the memory of planes."""

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_PLANES_BYTES = 512 << 20
_PLANE_BYTES = (64 << 20, 32 << 20)
"""As much as a plane may have; older versions of glibc take no more than the second."""


@cache
def keep_freed_memory() -> None:
    """Lets this process use the memory of one plane for the next, up to 512 MiB of it.

    By default glibc gives each large array back to the system, and the system clears its pages before
    they are used again: a quarter of the time that VIDEVAL's numbers take. Does nothing where the C
    library has no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # Either setting ends glibc's own adjustment of both: the second alone would make things worse.
    if mallopt is not None and any(mallopt(_MMAP_THRESHOLD, size) for size in _PLANE_BYTES):
        mallopt(_TRIM_THRESHOLD, _PLANES_BYTES)
