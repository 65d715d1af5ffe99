"""Reads parts of earlier versions: Zarr v3 groups whose chunks are compressed (zstd, in shards).

They are not written any more: int8 takes less of the disk and is read faster, and a file system that
compresses does so without loss. A part that is merged or repaired becomes an uncompressed one.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.format.marker import StreamRows


def decode(rows: StreamRows, first: int, coded: NDArray[np.uint8], out: NDArray[Any]) -> None:
    """Items `first`, `first + 1`, … into `out` [n, *stream shape].

    `coded`: the chunks that hold them, whole, one after the other. Raises ValueError where they are damaged.
    """
    target = out.reshape(len(out), -1).view(np.uint8)  # [n, bytes of an item]
    done = position = 0
    for chunk in range(first // rows.chunk_items, -(-(first + len(out)) // rows.chunk_items)):
        size = rows.chunk_sizes[chunk]
        try:
            content = _codec().decode(coded[position : position + size])
        except RuntimeError as error:
            raise ValueError(str(error)) from None
        items = np.frombuffer(content, np.uint8).reshape(-1, target.shape[1])
        within = first + done - chunk * rows.chunk_items
        taken = min(rows.chunk_items - within, len(out) - done)
        if len(items) != rows.chunk_items:
            raise ValueError(f"chunk {chunk} holds {len(items)} items, expected {rows.chunk_items}")
        target[done : done + taken] = items[within : within + taken]
        done += taken
        position += size


@cache
def _codec() -> Any:
    from numcodecs.zstd import Zstd  # type: ignore[import-untyped]  # late: most stores never need it

    return Zstd()
