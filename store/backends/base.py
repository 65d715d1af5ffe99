"""The interface of storage backends: how a part's bytes are written once, and then read at any place.

Standard, uncompressed Zarr v3 groups and HDF5 files are only bytes at known places. Fetching those is
several times faster than reading through zarr-python or h5py, which have to find out what the marker knows.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from store.format.marker import Marker, StreamRows


class Span(NamedTuple):
    """Consecutive bytes of a part."""

    file: str
    """Name below the part's own, with a slash before it; empty where the part is one file."""
    start: int
    size: int


class PartBody(Protocol):
    """Takes the items of all streams, one after the other, and leaves a complete but unsynced part."""

    def append(self, stream: str, items: NDArray[Any]) -> None:
        """Add items [n, *stream shape] of the stream's dtype; the array may change afterwards."""

    def finish(self) -> None:
        """Write what is buffered, close all files, and note in the streams' rows where their chunks lie."""

    def discard(self) -> None:
        """Close what is open: the part is not wanted any more. Never raises."""


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
    create: Callable[[Path, Mapping[str, StreamRows], int | None], PartBody]
    """Begin a part at a path that does not exist yet; chunks get that many bytes, or as many as suit."""
    spans: Callable[[str, StreamRows, int, int, int], list[Span]]
    """Stream, its rows, first item, number of items, bytes of an item → where they lie, in their order."""
    check: Callable[[Path, Marker], list[Fault]]
    """Whether the metadata that other tools go by says what the marker says."""
    decode: Callable[[StreamRows, int, NDArray[Any], NDArray[Any]], None] | None = None
    """Where chunks are compressed, so that the spans are of whole ones; see store.backends.zstd.decode."""


def pieces(rows: StreamRows, first: int, count: int) -> Iterator[tuple[int, int, int]]:
    """(chunk, first item within it, items) of items `first` to `first + count`."""
    while count > 0:
        chunk, within = divmod(first, rows.chunk_items)
        items = min(rows.chunk_items - within, count)
        yield chunk, within, items
        first += items
        count -= items


def differences(
    stream: str, where: object, found: Mapping[str, Any], written: Mapping[str, Any]
) -> list[Fault]:
    """The first thing that was found to be other than it was written, if any."""
    return [
        Fault(stream, f"{where} has the {name} {shortened(found[name])}; {shortened(value)} was written")
        for name, value in written.items()
        if found[name] != value
    ][:1]
