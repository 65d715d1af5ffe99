"""The interface of storage backends: how a part's bytes are written once, and then read at any place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, Protocol

from numpy.typing import NDArray

from store.backends.spans import Span
from store.format.marker import Marker, StreamRows, StreamShape

FindItems = Callable[[str, StreamRows, int, int, int], list[Span]]
"""Stream, its rows, first item, number of items, bytes of an item → where they lie, in their order."""
Decode = Callable[[StreamRows, int, NDArray[Any], NDArray[Any]], None]
"""Takes items out of compressed chunks; see store.backends.zstd.decode."""


@dataclass(frozen=True)
class Layout:
    """Where a finished part keeps the chunks of a stream."""

    chunk_items: int
    chunk_offsets: tuple[int, ...] = ()
    """Byte offset of each chunk in its file; empty where every chunk is a file."""


class PartBody(Protocol):
    """Takes the items of all streams, one after the other, and leaves a complete but unsynced part."""

    def append(self, stream: str, items: NDArray[Any]) -> None:
        """Add items [n, *stream shape] of the stream's dtype; the array may change afterwards."""

    def finish(self) -> dict[str, Layout]:
        """Write what is buffered and close all files. Returns stream → where its chunks lie."""

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
    create: Callable[[Path, Mapping[str, StreamShape], int | None], PartBody]
    """Begin a part at a path that does not exist yet; chunks get that many bytes, or as many as suit."""
    spans: FindItems
    check: Callable[[Path, Marker], list[Fault]]
    """Whether the metadata that other tools go by says what the marker says."""
    decode: Decode | None = None
    """Where chunks are compressed, so that the spans are of whole ones."""


def differences(
    stream: str, where: object, found: Mapping[str, Any], written: Mapping[str, Any]
) -> list[Fault]:
    """The first thing that was found to be other than it was written, if any."""
    return [
        Fault(stream, f"{where} has the {name} {shortened(found[name])}; {shortened(value)} was written")
        for name, value in written.items()
        if found[name] != value
    ][:1]
