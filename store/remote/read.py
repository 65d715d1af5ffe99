"""Reads a part in object storage: its marker says where, requests for ranges fetch, several at once."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from store.backends.spans import Span
from store.errors import DamagedPart
from store.remote.storage import Remote

_RANGE_BYTES = 8 << 20
"""Longer reads are divided: several connections are faster than one."""


class Piece(NamedTuple):
    """Bytes `start` to `stop` (not included) of an object."""

    path: str
    start: int
    stop: int


def read_spans(remote: Remote, part: str, spans: Iterable[Span], out: NDArray[Any]) -> None:
    """Fill `out`, which is C-contiguous, with these bytes of a part, one span after the other.

    `part`: its path below the store. Raises DamagedPart where an object is missing or too short,
    RemoteFailed.
    """
    target = memoryview(out.reshape(-1).view(np.uint8).data)
    pieces = [piece for file, start, size in spans for piece in _divided(part + file, start, size)]
    done = 0
    for piece, content in zip(pieces, _fetched(remote, pieces), strict=True):
        if len(content) != piece.stop - piece.start:
            raise DamagedPart(
                f"{remote.url}/{piece.path} is too short: expected at least {piece.stop:,} bytes"
            )
        target[done : done + len(content)] = content
        done += len(content)


def _divided(path: str, start: int, size: int) -> Iterator[Piece]:
    for first in range(start, start + size, _RANGE_BYTES):
        yield Piece(path, first, min(first + _RANGE_BYTES, start + size))


def _fetched(remote: Remote, pieces: list[Piece]) -> list[bytes]:
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


def _require(remote: Remote, piece: Piece) -> None:
    """Raise DamagedPart where an object is missing or too short. Storages tell that in ways of their own."""
    size = remote.tree(piece.path).get(piece.path)
    if size is None:
        raise DamagedPart(f"{remote.url}/{piece.path} is missing, although its part was committed")
    if size < piece.stop:
        raise DamagedPart(
            f"{remote.url}/{piece.path} is too short: {size:,} bytes, expected at least {piece.stop:,}"
        )
