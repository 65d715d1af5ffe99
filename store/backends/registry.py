"""The storage backends by name, and how items are read through them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.backends import hdf5, zarr, zstd
from store.backends.base import Backend, Span
from store.errors import DamagedPart, UnknownBackend
from store.format.marker import Marker

BACKENDS = ("zarr", "hdf5")
"""What parts are written as."""

_READ = {
    "zarr": Backend("zarr", "", zarr.ZarrBody, zarr.spans, zarr.check),
    "hdf5": Backend("hdf5", ".h5", hdf5.Hdf5Body, hdf5.spans, hdf5.check),
    # Read alone: what takes the place of such a part is an uncompressed one.
    "zarr-zstd": Backend("zarr", "", zarr.ZarrBody, zstd.spans, zarr.check, zstd.decode),
}


def backend(name: str) -> Backend:
    """The backend that parts of that name are read by. Raises UnknownBackend."""
    if name not in _READ:
        raise UnknownBackend(f"there is no storage backend {name!r}; there is: {', '.join(_READ)}")
    return _READ[name]


def writable(name: str) -> Backend:
    """The backend that new parts are written by. Raises UnknownBackend."""
    if name not in BACKENDS:
        raise UnknownBackend(f"no storage backend {name!r} is written; there is: {', '.join(BACKENDS)}")
    return _READ[name]


def read_items(
    fill: Callable[[str, list[Span], NDArray[Any]], None],
    where: str,
    marker: Marker,
    stream: str,
    first: int,
    out: NDArray[Any],
) -> None:
    """Read items `first`, `first + 1`, … into `out` [n, *stream shape], n ≥ 1. Raises DamagedPart.

    `fill` fills a C-contiguous array with bytes of a part, one span after the other.
    """
    kind, rows = backend(marker.backend), marker.streams[stream]
    spans = kind.spans(stream, rows, first, len(out), out.nbytes // len(out))
    if kind.decode is None:
        fill(marker.part, spans, out)
        return
    coded = np.empty(sum(span.size for span in spans), np.uint8)
    fill(marker.part, spans, coded)
    try:
        kind.decode(rows, first, coded, out)
    except ValueError as error:
        raise DamagedPart(f"{where}/{marker.part}{spans[0].file} cannot be decompressed: {error}") from None
