"""Reads a part in object storage: its marker says where, requests for ranges fetch, several at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import DamagedPart
from store.marker import Marker, StreamRows
from store.remote import Remote
from store.zarr_read import chunk_key

_RANGE_BYTES = 8 << 20
"""Longer reads are divided: several connections are faster than one."""


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `stop` (not included) of an object."""

    path: str
    start: int
    stop: int


def read_items(
    remote: Remote, folder: str, marker: Marker, stream: str, first: int, out: NDArray[Any]
) -> None:
    """Read items `first`, `first + 1`, … of a stream into `out` [n, *stream shape], which is C-contiguous.

    `folder`: of the feature set. Raises DamagedPart where an object is missing or too short, RemoteFailed.
    """
    rows = marker.streams[stream]
    target = memoryview(out.reshape(-1).view(np.uint8).data)
    pieces = [
        piece
        for span in _spans(f"{folder}/{marker.part}", marker.backend, stream, rows, first, len(out))
        for piece in _divided(span)
    ]
    done = 0
    for piece, content in zip(pieces, _fetched(remote, pieces), strict=True):
        if len(content) != piece.stop - piece.start:
            raise DamagedPart(
                f"{remote.url}/{piece.path} is too short: expected at least {piece.stop:,} bytes"
            )
        target[done : done + len(content)] = content
        done += len(content)


def _spans(part: str, backend: str, stream: str, rows: StreamRows, first: int, count: int) -> Iterator[Span]:
    """Where consecutive items lie, chunk by chunk."""
    item_bytes = rows.stream_shape.item_bytes
    done = 0
    while done < count:
        chunk, within = divmod(first + done, rows.chunk_items)
        items = min(rows.chunk_items - within, count - done)
        in_one_file = backend == "hdf5"
        path = part if in_one_file else f"{part}/{chunk_key(stream, chunk, len(rows.shape))}"
        start = within * item_bytes + (rows.chunk_offsets[chunk] if in_one_file else 0)
        yield Span(path, start, start + items * item_bytes)
        done += items


def _divided(span: Span) -> Iterator[Span]:
    for start in range(span.start, span.stop, _RANGE_BYTES):
        yield Span(span.path, start, min(start + _RANGE_BYTES, span.stop))


def _fetched(remote: Remote, pieces: list[Span]) -> list[bytes]:
    if not pieces:
        return []
    paths = [remote.at(piece.path) for piece in pieces]
    starts, stops = [piece.start for piece in pieces], [piece.stop for piece in pieces]
    with remote.reaching(pieces[0].path):
        found: list[bytes | Exception] = remote.files.cat_ranges(paths, starts, stops, on_error="return")
        contents: list[bytes] = []
        for piece, content in zip(pieces, found, strict=True):
            if isinstance(content, Exception):
                _require(remote, piece)
                raise content
            contents.append(content)
    return contents


def _require(remote: Remote, piece: Span) -> None:
    """Raise DamagedPart where an object is missing or too short. Storages tell that in ways of their own."""
    size = remote.tree(piece.path).get(piece.path)
    if size is None:
        raise DamagedPart(f"{remote.url}/{piece.path} is missing, although its part was committed")
    if size < piece.stop:
        raise DamagedPart(
            f"{remote.url}/{piece.path} is too short: {size:,} bytes, expected at least {piece.stop:,}"
        )
