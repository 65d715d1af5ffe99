"""Takes items out of compressed chunks."""

from typing import Any

import numpy as np
from numcodecs.zstd import Zstd  # type: ignore[import-untyped]
from numpy.typing import NDArray

from store.format.marker import StreamRows

_ZSTD = Zstd()


def decode(rows: StreamRows, first: int, coded: NDArray[np.uint8], out: NDArray[Any]) -> None:
    """Items `first`, `first + 1`, … into `out` [n, *stream shape].

    `coded`: the chunks that hold them, whole, one after the other. Raises ValueError where they are damaged.
    """
    target = out.reshape(len(out), -1).view(np.uint8)  # [n, bytes of an item]
    done = position = 0
    for chunk in range(first // rows.chunk_items, -(-(first + len(out)) // rows.chunk_items)):
        size = rows.chunk_sizes[chunk]
        items = _decoded(coded[position : position + size], target.shape[1])
        within = first + done - chunk * rows.chunk_items
        taken = min(rows.chunk_items - within, len(out) - done)
        if len(items) != rows.chunk_items:
            raise ValueError(f"chunk {chunk} holds {len(items)} items, expected {rows.chunk_items}")
        target[done : done + taken] = items[within : within + taken]
        done += taken
        position += size


def _decoded(chunk: NDArray[np.uint8], item_bytes: int) -> NDArray[np.uint8]:
    try:
        return np.frombuffer(_ZSTD.decode(chunk), np.uint8).reshape(-1, item_bytes)
    except RuntimeError as error:
        raise ValueError(str(error)) from None
