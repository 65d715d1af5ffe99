"""The interface of storage backends: how a part's bytes are written once, and then read at any place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from store.errors import UnknownBackend
from store.marker import StreamRows, StreamShape


class PartBody(Protocol):
    """Takes the items of all streams, one after the other, and leaves a complete but unsynced part."""

    def append(self, stream: str, items: NDArray[Any]) -> None:
        """Add items [n, *stream shape] of the stream's dtype; the array may change afterwards."""
        ...

    def finish(self) -> dict[str, int]:
        """Write what is buffered. Returns stream → items in each chunk file."""
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
class Backend:
    """One way of laying out a part."""

    name: str
    suffix: str
    """Of the part's name; empty for a folder."""
    create: Callable[[Path, Mapping[str, StreamShape], int | None], PartBody]
    """Begin a part at a path that does not exist yet; chunk files get that many bytes, or as many as suit."""
    read_items: ReadItems


def backend(name: str) -> Backend:
    """The backend of that name. Raises UnknownBackend."""
    # Imported late: zarr takes long to import, and readers never need it.
    if name == "zarr":
        from store.zarr_read import read_items

        return Backend("zarr", "", _create_zarr, read_items)
    raise UnknownBackend(f"there is no storage backend {name!r}; there is: zarr")


def _create_zarr(path: Path, streams: Mapping[str, StreamShape], chunk_bytes: int | None) -> PartBody:
    from store.zarr_write import ZarrBody

    return ZarrBody(path, streams, chunk_bytes)
