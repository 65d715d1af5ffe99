"""The storage backends by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from store.backends.base import Backend, Fault, PartBody
from store.backends.spans import coded_spans, hdf5_spans, zarr_spans
from store.errors import UnknownBackend
from store.format.marker import Marker, StreamRows, StreamShape

# Imported late: zarr and h5py take long to import, and readers never need them.


def _create_zarr(path: Path, streams: Mapping[str, StreamShape], chunk_bytes: int | None) -> PartBody:
    from store.backends.zarr_write import ZarrBody

    return ZarrBody(path, streams, chunk_bytes)


def _create_hdf5(path: Path, streams: Mapping[str, StreamShape], chunk_bytes: int | None) -> PartBody:
    from store.backends.hdf5_write import Hdf5Body

    return Hdf5Body(path, streams, chunk_bytes)


def _create_coded(path: Path, streams: Mapping[str, StreamShape], chunk_bytes: int | None) -> PartBody:
    from store.backends.zarr_coded import CodedZarrBody

    return CodedZarrBody(path, streams, chunk_bytes)


def _decode(rows: StreamRows, first: int, coded: NDArray[Any], out: NDArray[Any]) -> None:
    from store.backends.coded import decode

    decode(rows, first, coded, out)


def _check_zarr(part: Path, marker: Marker) -> list[Fault]:
    from store.backends.zarr_check import check

    return check(part, marker)


def _check_hdf5(part: Path, marker: Marker) -> list[Fault]:
    from store.backends.hdf5_check import check

    return check(part, marker)


_BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("zarr", "", _create_zarr, zarr_spans, _check_zarr),
        Backend("zarr-zstd", "", _create_coded, coded_spans, _check_zarr, _decode),
        Backend("hdf5", ".h5", _create_hdf5, hdf5_spans, _check_hdf5),
    )
}
BACKENDS = tuple(_BACKENDS)


def backend(name: str) -> Backend:
    """The backend of that name. Raises UnknownBackend."""
    try:
        return _BACKENDS[name]
    except KeyError:
        raise UnknownBackend(
            f"there is no storage backend {name!r}; there is: {', '.join(BACKENDS)}"
        ) from None
