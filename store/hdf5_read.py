"""Positional reads of an HDF5 part: its marker says where the chunks lie, `preadv` fetches, without h5py."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.marker import StreamRows
from store.positional import opened, read_into


def read_items(part: Path, stream: str, rows: StreamRows, first: int, out: NDArray[Any]) -> None:  # noqa: ARG001
    """Read items `first`, `first + 1`, … of the part's stream into `out`; see `store.parts.ReadItems`."""
    item_bytes = rows.stream_shape.item_bytes
    target = memoryview(out.reshape(-1).view(np.uint8).data)
    done, count = 0, len(out)
    with opened(part) as descriptor:
        while done < count:
            chunk, within = divmod(first + done, rows.chunk_items)
            items = min(rows.chunk_items - within, count - done)
            position = rows.chunk_offsets[chunk] + within * item_bytes
            read_into(descriptor, part, position, target[done * item_bytes : (done + items) * item_bytes])
            done += items
