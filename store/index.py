"""The thin index over a feature set's parts, made from their commit markers and from nothing else.

What the markers note about each video is read when somebody asks for it.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from store.errors import DamagedMarker, FeaturesNotFound, ReadFailed, VideoNotStored
from store.files import Files
from store.format.layout import NEWEST, is_marker, parts_folders
from store.format.marker import Marker, StreamRows, StreamShape, parse_marker, read_meta, unreadable

log = logging.getLogger(__name__)

_KEPT_METAS = 64


@dataclass
class Index:
    """Which part holds each video. A later part takes a video over from an earlier one."""

    markers: dict[str, Marker] = field(default_factory=dict)
    """Path of the marker → marker."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Path of the marker → what is wrong with it; its videos count as not stored."""
    rows: dict[str, int] = field(default_factory=dict)
    """Video → its part's number times 2^32, plus its place in the part's lists: smaller than a pair."""
    parts: list[Marker] = field(default_factory=list)
    """By their numbers."""
    dropped: dict[str, Marker] = field(default_factory=dict)
    """Video → the marker by which earlier parts do not count for it."""
    streams: dict[str, StreamShape] = field(default_factory=dict)
    """Of the committed parts."""
    latest: tuple[int, str] = (0, "")
    """Order of the latest part."""
    _listed: dict[str, tuple[int, set[str]]] = field(default_factory=dict)
    """Folder of parts → its stamp when it was last listed, and the markers in it."""

    def refresh(self, files: Files) -> None:
        """Read the markers that have come since, and forget those that have gone.

        Raises NewerFormat, and FeaturesNotFound where the folder of known parts has gone.
        """
        new, gone = self._changes(files)
        self.damaged = {path: fault for path, fault in self.damaged.items() if path not in gone | new}
        if any(path in self.markers for path in gone):
            self._keep([marker for path, marker in self.markers.items() if path not in gone])
        settled: set[str] = set()
        try:
            self._take_up(files, sorted(new), settled)
        finally:
            self._forget(new - settled)

    def _take_up(self, files: Files, paths: list[str], settled: set[str]) -> None:
        """Add the markers at these paths; `settled` gets those that need not be read again."""
        found: list[Marker] = []
        for path, data in files.read_all(paths):
            if isinstance(data, FileNotFoundError):
                continue  # removed since the folder was listed
            where = f"{files.location}/{path}"
            if isinstance(data, OSError):
                self._report(path, unreadable(where, data))
                continue
            try:
                found.append(parse_marker(where, data))
            except DamagedMarker as error:
                self._report(path, error)
                settled.add(path)
        # In the order of their commits, so that the oldest part decides which streams the others must have.
        for marker in sorted(found, key=lambda marker: marker.order):
            try:
                self._require_same_streams(marker, files.location)
            except DamagedMarker as error:
                self._report(marker.file, error)
            else:
                self.add(marker)
            settled.add(marker.file)

    def _forget(self, paths: set[str]) -> None:
        """Have the folders listed again in which these markers are."""
        for folder, (_, known) in list(self._listed.items()):
            if not known.isdisjoint(paths):
                self._listed[folder] = -1, known - paths

    def add(self, marker: Marker) -> None:
        """Take up a committed part."""
        self.markers[marker.file] = marker
        self._listed.setdefault(marker.file.rpartition("/")[0], (-1, set()))[1].add(marker.file)
        if not self.streams:
            self.streams = {name: rows.stream_shape for name, rows in marker.streams.items()}
        for video in marker.dropped:
            self._drop(video, marker)
        first = len(self.parts) << 32
        self.parts.append(marker)
        here = zip(marker.videos, range(first, first + len(marker.videos)), strict=True)
        if marker.order > self.latest:
            self.latest = marker.order
            self.rows.update(here)
        else:
            self.rows.update((video, row) for video, row in here if self._counts(video, marker))

    def row(self, video: str, where: str) -> tuple[Marker, int]:
        """The part of a video and its place there. Raises VideoNotStored."""
        try:
            number = self.rows[video]
        except KeyError:
            count = len(self.damaged)
            hidden = f"; {count} damaged marker{'s' * (count > 1)} may hide it" if count else ""
            raise VideoNotStored(f"{where} has no features of {video!r}{hidden}") from None
        return self.parts[number >> 32], number & 0xFFFFFFFF

    def marker(self, video: str) -> Marker | None:
        """The part that is to be read of a video."""
        number = self.rows.get(video)
        return None if number is None else self.parts[number >> 32]

    def places(self) -> list[tuple[Marker, list[int]]]:
        """Each part, in the order of their commits, and which of its rows are read.

        None are where later parts have all of its videos.
        """
        return [
            (marker, [row for row, video in enumerate(marker.videos) if self.marker(video) is marker])
            for marker in sorted(self.markers.values(), key=lambda marker: marker.order)
        ]

    def _changes(self, files: Files) -> tuple[set[str], set[str]]:
        """Markers that are new, and known ones that have gone; unchanged folders are not listed again."""
        root = files.stamps()
        if self.markers and not root:
            raise FeaturesNotFound(
                f"{files.location} has gone, with {len(self.rows):,} videos: is its disk still mounted?"
            )
        folders = parts_folders(root)
        new: set[str] = set()
        vanished = self._listed.keys() - {"", *folders}
        gone = set[str]().union(*(self._listed[folder][1] for folder in vanished))
        listed: dict[str, tuple[int, set[str]]] = {}
        for number, folder in enumerate(["", *folders]):
            stamp, known = self._listed.get(folder, (-1, set[str]()))
            now = root.get(folder, 0)
            if folder and now == stamp and number <= len(folders) - NEWEST:
                continue
            names = files.names(folder) if folder else root
            there = {f"{folder}/{name}" if folder else name for name in names if is_marker(name)}
            listed[folder] = now, there
            gone |= known - there
            new |= there - known
        # Only now: a folder that could not be listed must not hide what the others have of new.
        self._listed = {folder: at for folder, at in self._listed.items() if folder not in vanished} | listed
        # A difference of sets would go through all that are known.
        return {path for path in new if path not in self.markers}, gone

    def _keep(self, markers: list[Marker]) -> None:
        self.markers, self.rows, self.parts, self.dropped, self.streams = {}, {}, [], {}, {}
        self.latest = (0, "")
        for marker in sorted(markers, key=lambda marker: marker.order):
            self.add(marker)

    def _drop(self, video: str, by: Marker) -> None:
        if video not in self.dropped or self.dropped[video].order < by.order:
            self.dropped[video] = by
        present = self.marker(video)
        if present and present.order < by.order:
            del self.rows[video]

    def _counts(self, video: str, marker: Marker) -> bool:
        """Whether a part, not the latest, is what is to be read of a video."""
        others = self.marker(video), self.dropped.get(video)
        return all(other is None or other.order < marker.order for other in others)

    def _report(self, path: str, error: DamagedMarker) -> None:
        log.warning("%s", error)
        self.damaged[path] = str(error)

    def _require_same_streams(self, marker: Marker, location: str) -> None:
        streams = {name: rows.stream_shape for name, rows in marker.streams.items()}
        if streams and self.streams and streams != self.streams:
            raise DamagedMarker(
                f"{location}/{marker.file} has the streams {describe(streams)};"
                f" the other parts have {describe(self.streams)}"
            )


class Metas:
    """What was noted about each video, from its part's marker; that of the last parts stays in memory."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._parts: dict[str, list[dict[str, Any]]] = {}

    def of(self, marker: Marker) -> list[dict[str, Any]]:
        """Of each video of a part. Raises DamagedMarker."""
        if marker.file not in self._parts:
            if len(self._parts) >= _KEPT_METAS:
                self._parts.clear()
            where = f"{self._files.location}/{marker.file}"
            if (data := self._files.read(marker.file)) is None:
                raise unreadable(where, FileNotFoundError("it has gone"))
            self._parts[marker.file] = read_meta(where, data, len(marker.videos))
        return self._parts[marker.file]


def any_streams(files: Files) -> dict[str, StreamShape]:
    """The oldest part's streams, from its marker alone; empty where no folder of parts has one.

    Raises NewerFormat.
    """
    folders = parts_folders(files.names())
    paths = (f"{folder}/{name}" for folder in folders for name in files.names(folder) if is_marker(name))
    for path in sorted(paths, key=lambda path: path.rsplit(".", 2)[-2]):  # the oldest first, as in the index
        with suppress(DamagedMarker, ReadFailed):
            if streams := parse_marker(path, files.read(path) or b"").streams:
                return {name: rows.stream_shape for name, rows in streams.items()}
    return {}


def describe(streams: Mapping[str, StreamShape | StreamRows]) -> str:
    """Streams for people: `spatial [256, 1024] float16, …`."""
    return ", ".join(f"{name} {list(s.shape)} {s.dtype}" for name, s in sorted(streams.items())) or "none"
