"""How the C library treats the memory of planes."""

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_PLANES_BYTES = 512 << 20
_PLANE_BYTES = 64 << 20


@cache
def keep_freed_memory() -> None:
    """Lets this process use the memory of one plane for the next, up to 512 MiB of it.

    By default glibc gives each large array back to the system, and the system clears its pages before
    they are used again: a quarter of the time that VIDEVAL's numbers take. Does nothing where the C
    library has no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _PLANE_BYTES)
        mallopt(_TRIM_THRESHOLD, _PLANES_BYTES)
