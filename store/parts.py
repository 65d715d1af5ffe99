"""The interface of storage backends: how a part's bytes are written once, and then read at any place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from store.chunks import Layout
from store.errors import UnknownBackend
from store.marker import Marker, StreamRows, StreamShape

BACKENDS = ("zarr", "hdf5")


class PartBody(Protocol):
    """Takes the items of all streams, one after the other, and leaves a complete but unsynced part."""

    def append(self, stream: str, items: NDArray[Any]) -> None:
        """Add items [n, *stream shape] of the stream's dtype; the array may change afterwards."""
        ...

    def finish(self) -> dict[str, Layout]:
        """Write what is buffered and close all files. Returns stream → where its chunks lie."""
        ...

    def discard(self) -> None:
        """Close what is open: the part is not wanted any more. Never raises."""
        ...


class ReadItems(Protocol):
    """Fills an array with consecutive items of a part."""

    def __call__(self, part: Path, stream: str, rows: StreamRows, first: int, out: NDArray[Any]) -> None:
        """Read items `first`, `first + 1`, … into `out` [n, *stream shape], which is C-contiguous.

        Reads by position and keeps nothing open: threads, forked and spawned processes may all read.
        Raises DamagedPart where a file is missing or too short.
        """
        ...


@dataclass(frozen=True)
class Fault:
    """Something that tools other than this project would misread."""

    stream: str | None
    """None: the whole part."""
    reason: str


@dataclass(frozen=True)
class Backend:
    """One way of laying out a part."""

    name: str
    suffix: str
    """Of the part's name; empty for a folder."""
    create: Callable[[Path, Mapping[str, StreamShape], int | None], PartBody]
    """Begin a part at a path that does not exist yet; chunks get that many bytes, or as many as suit."""
    read_items: ReadItems
    check: Callable[[Path, Marker], list[Fault]]
    """Whether the metadata that other tools go by says what the marker says."""


def backend(name: str) -> Backend:
    """The backend of that name. Raises UnknownBackend."""
    # Imported late: zarr and h5py take long to import, and readers never need them.
    if name == "zarr":
        from store import zarr_read

        return Backend("zarr", "", _create_zarr, zarr_read.read_items, _check_zarr)
    if name == "hdf5":
        from store import hdf5_read

        return Backend("hdf5", ".h5", _create_hdf5, hdf5_read.read_items, _check_hdf5)
    raise UnknownBackend(f"there is no storage backend {name!r}; there is: {', '.join(BACKENDS)}")


def _create_zarr(path: Path, streams: Mapping[str, StreamShape], chunk_bytes: int | None) -> PartBody:
    from store.zarr_write import ZarrBody

    return ZarrBody(path, streams, chunk_bytes)


def _create_hdf5(path: Path, streams: Mapping[str, StreamShape], chunk_bytes: int | None) -> PartBody:
    from store.hdf5_write import Hdf5Body

    return Hdf5Body(path, streams, chunk_bytes)


def _check_zarr(part: Path, marker: Marker) -> list[Fault]:
    from store.zarr_check import check

    return check(part, marker)


def _check_hdf5(part: Path, marker: Marker) -> list[Fault]:
    from store.hdf5_check import check

    return check(part, marker)
