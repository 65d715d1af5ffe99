"""Where consecutive items of a stream lie in a part, for each backend: the marker knows, no library is asked.

Standard, uncompressed Zarr v3 groups and HDF5 files are only bytes at known places. Fetching those is
several times faster than reading through zarr-python or h5py, which have to find out what the marker knows.
"""

from collections.abc import Iterator
from typing import NamedTuple

from store.format.marker import StreamRows


class Span(NamedTuple):
    """Consecutive bytes of a part."""

    file: str
    """Name below the part's own, with a slash before it; empty where the part is one file."""
    start: int
    size: int


def zarr_spans(stream: str, rows: StreamRows, first: int, count: int, item_bytes: int) -> list[Span]:
    """Of items `first` to `first + count` in a group that keeps each chunk in a file."""
    return [
        Span(f"/{chunk_key(stream, chunk, len(rows.shape))}", within * item_bytes, items * item_bytes)
        for chunk, within, items in _pieces(rows, first, count)
    ]


def hdf5_spans(stream: str, rows: StreamRows, first: int, count: int, item_bytes: int) -> list[Span]:  # noqa: ARG001
    """Of items `first` to `first + count` in a file; chunks that lie side by side make one span."""
    spans: list[Span] = []
    for chunk, within, items in _pieces(rows, first, count):
        start, size = rows.chunk_offsets[chunk] + within * item_bytes, items * item_bytes
        if spans and spans[-1].start + spans[-1].size == start:
            _, start, before = spans.pop()
            size += before
        spans.append(Span("", start, size))
    return spans


def coded_spans(stream: str, rows: StreamRows, first: int, count: int, item_bytes: int) -> list[Span]:  # noqa: ARG001
    """Of the compressed chunks, whole, that hold items `first` to `first + count`."""
    return [
        Span(
            f"/{chunk_key(stream, chunk // rows.file_chunks, len(rows.shape))}",
            rows.chunk_offsets[chunk],
            rows.chunk_sizes[chunk],
        )
        for chunk, _, _ in _pieces(rows, first, count)
    ]


def chunk_key(stream: str, chunk: int, item_dimensions: int) -> str:
    """Path of a chunk file within the group: only the first dimension is divided (Zarr v3, default keys)."""
    return f"{stream}/c.{chunk}" + ".0" * item_dimensions


def _pieces(rows: StreamRows, first: int, count: int) -> Iterator[tuple[int, int, int]]:
    """(chunk, first item within it, items) of items `first` to `first + count`."""
    while count > 0:
        chunk, within = divmod(first, rows.chunk_items)
        items = min(rows.chunk_items - within, count)
        yield chunk, within, items
        first += items
        count -= items
