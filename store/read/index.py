"""The thin index over a feature set's parts, made from their commit markers and from nothing else."""

import logging
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

from store.errors import DamagedMarker, FeaturesNotFound, VideoNotStored
from store.format.marker import Marker, StreamRows, StreamShape, parse_marker, unreadable

log = logging.getLogger(__name__)

STEP = 1_000_000
"""Between the sequence of a part and that of the next one, at least: room for parts that replace it."""
_READERS = 8
_BATCH = 64


@dataclass
class Index:
    """Which part holds each video. A later part takes a video over from an earlier one."""

    markers: dict[str, Marker] = field(default_factory=dict)
    """Marker file name → marker."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Marker file name → what is wrong with it; its videos count as not stored."""
    rows: dict[str, tuple[Marker, int]] = field(default_factory=dict)
    """Video → its part and its place in the part's lists."""
    streams: dict[str, StreamShape] = field(default_factory=dict)
    """Of the committed parts."""
    _latest: tuple[int, str] = (0, "")
    """Sequence and name of the latest part."""

    def refresh(self, folder: Path) -> None:
        """Read the markers that have come since, and forget those that have gone.

        Raises NewerFormat, and FeaturesNotFound where the folder of known parts has gone.
        """
        names = self._listed(folder)
        new = sorted(names - self.markers.keys() - self.damaged.keys())
        gone = self.markers.keys() - names
        self.damaged = {name: fault for name, fault in self.damaged.items() if name in names}
        if gone:
            remaining = [marker for name, marker in self.markers.items() if name not in gone]
            self.markers, self.rows, self.streams, self._latest = {}, {}, {}, (0, "")
            for marker in remaining:
                self.add(marker)
        found: list[Marker] = []
        for path, data in _contents([folder / name for name in new]):
            if isinstance(data, FileNotFoundError):
                continue  # removed since the folder was listed
            try:
                if isinstance(data, OSError):
                    raise unreadable(path, data)
                found.append(parse_marker(path, data))
            except DamagedMarker as error:
                self._report(path.name, error)
        # In the order of their commits, so that the oldest part decides which streams the others must have.
        for marker in sorted(found, key=lambda marker: (marker.sequence, marker.part)):
            try:
                self._require_same_streams(marker, folder)
            except DamagedMarker as error:
                self._report(marker.file, error)
            else:
                self.add(marker)

    def add(self, marker: Marker) -> None:
        """Take up a committed part."""
        self.markers[marker.file] = marker
        if not self.streams:
            self.streams = {name: rows.stream_shape for name, rows in marker.streams.items()}
        order = (marker.sequence, marker.part)
        here = zip(marker.videos, zip(repeat(marker), range(len(marker.videos)), strict=False), strict=True)
        if order > self._latest:
            self._latest = order
            self.rows.update(here)
        else:
            self.rows.update(
                (video, place)
                for video, place in here
                if (present := self.rows.get(video)) is None or (present[0].sequence, present[0].part) < order
            )

    def row(self, video: str, where: Path | str) -> tuple[Marker, int]:
        """The part of a video and its place there. Raises VideoNotStored."""
        try:
            return self.rows[video]
        except KeyError:
            count = len(self.damaged)
            hidden = f"; {count} damaged marker{'s' * (count > 1)} may hide it" if count else ""
            raise VideoNotStored(f"{where} has no features of {video!r}{hidden}") from None

    def places(self) -> list[tuple[Marker, list[int]]]:
        """Each part, in the order of their commits, and which of its rows are read.

        None are where later parts have all of its videos.
        """
        ordered = sorted(self.markers.values(), key=lambda marker: (marker.sequence, marker.part))
        return [
            (marker, [row for row, video in enumerate(marker.videos) if self.rows[video][0] is marker])
            for marker in ordered
        ]

    def next_sequence(self, now: int) -> int:
        """A sequence above that of every part known here, whatever this machine's clock says."""
        return max(now, self._latest[0] + STEP)

    def _listed(self, folder: Path) -> set[str]:
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries]
        except FileNotFoundError:
            if self.markers:
                raise FeaturesNotFound(
                    f"{folder} has gone, with {len(self.rows):,} videos: is its disk still mounted?"
                ) from None
            return set()
        return {name for name in names if name.startswith("part-") and name.endswith(".json")}

    def _report(self, name: str, error: DamagedMarker) -> None:
        log.warning("%s", error)
        self.damaged[name] = str(error)

    def _require_same_streams(self, marker: Marker, folder: Path) -> None:
        streams = {name: rows.stream_shape for name, rows in marker.streams.items()}
        if self.streams and streams != self.streams:
            raise DamagedMarker(
                f"{folder / marker.file} has the streams {describe(streams)};"
                f" the other parts have {describe(self.streams)}"
            )


def _contents(files: list[Path]) -> Iterator[tuple[Path, bytes | OSError]]:
    """Each file's bytes, or why there are none; a few threads read ahead, as each file may be far away."""
    batches = [files[first : first + _BATCH] for first in range(0, len(files), _BATCH)]
    if len(batches) < 2:
        yield from _read_batch(files)
        return
    with ThreadPoolExecutor(_READERS) as pool:
        for first in range(0, len(batches), _READERS):
            for batch in pool.map(_read_batch, batches[first : first + _READERS]):
                yield from batch


def _read_batch(files: list[Path]) -> list[tuple[Path, bytes | OSError]]:
    return [(file, _read(file)) for file in files]


def _read(file: Path) -> bytes | OSError:
    try:
        return file.read_bytes()
    except OSError as error:
        return error


def describe(streams: Mapping[str, StreamShape | StreamRows]) -> str:
    """Streams for people: `spatial [256, 1024] float16, …`."""
    return ", ".join(f"{name} {list(s.shape)} {s.dtype}" for name, s in sorted(streams.items())) or "none"
