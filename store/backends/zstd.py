"""Reads parts of earlier versions: Zarr v3 groups whose chunks are compressed (zstd, in shards).

They are not written any more: int8 takes less of the disk and is read faster, and a file system that
compresses does so without loss. A part that is merged or repaired becomes an uncompressed one.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.backends.base import Span, pieces
from store.backends.zarr import chunk_key
from store.format.marker import StreamRows


def spans(stream: str, rows: StreamRows, first: int, count: int, item_bytes: int) -> list[Span]:  # noqa: ARG001
    """Where the compressed chunks lie, whole, that hold items `first` to `first + count`."""
    return [
        Span(
            f"/{chunk_key(stream, chunk // rows.file_chunks, rows)}",
            rows.chunk_offsets[chunk],
            rows.chunk_sizes[chunk],
        )
        for chunk, _, _ in pieces(rows, first, count)
    ]


def decode(rows: StreamRows, first: int, coded: NDArray[np.uint8], out: NDArray[Any]) -> None:
    """Items `first`, `first + 1`, … into `out` [n, *stream shape].

    `coded`: the chunks that hold them, whole, one after the other. Raises ValueError where they are damaged.
    """
    target = out.reshape(len(out), -1).view(np.uint8)  # [n, bytes of an item]
    for chunk, within, items in pieces(rows, first, len(out)):
        data, coded = np.split(coded, [rows.chunk_sizes[chunk]])
        try:
            content = np.frombuffer(_codec().decode(data), np.uint8).reshape(-1, target.shape[1])
        except RuntimeError as error:
            raise ValueError(str(error)) from None
        if len(content) != rows.chunk_items:
            raise ValueError(f"chunk {chunk} holds {len(content)} items, expected {rows.chunk_items}")
        taken, target = np.split(target, [items])
        taken[:] = content[within : within + items]


@cache
def _codec() -> Any:
    from numcodecs.zstd import Zstd  # type: ignore[import-untyped]  # late: most stores never need it

    return Zstd()
