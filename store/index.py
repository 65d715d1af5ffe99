"""The thin index over a feature set's parts, made from their commit markers and from nothing else."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from store.errors import DamagedMarker, VideoNotStored
from store.marker import Marker, StreamRows, StreamShape, read_marker

log = logging.getLogger(__name__)


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

    def refresh(self, folder: Path) -> None:
        """Read the markers that have come since, and forget those that have gone. Raises NewerFormat."""
        names = {path.name for path in folder.glob("part-*.json")} if folder.is_dir() else set()
        new = sorted(names - self.markers.keys() - self.damaged.keys())
        gone = self.markers.keys() - names
        self.damaged = {name: fault for name, fault in self.damaged.items() if name in names}
        if gone:
            remaining = [marker for name, marker in self.markers.items() if name not in gone]
            self.markers, self.rows, self.streams = {}, {}, {}
            for marker in remaining:
                self.add(marker)
        found = {}
        for name in new:
            try:
                found[name] = read_marker(folder / name)
            except DamagedMarker as error:
                self._report(name, error)
        # In the order of their commits, so that the oldest part decides which streams the others must have.
        for name, marker in sorted(found.items(), key=lambda item: (item[1].sequence, item[0])):
            try:
                self._require_same_streams(marker, folder / name)
            except DamagedMarker as error:
                self._report(name, error)
            else:
                self.add(marker)

    def add(self, marker: Marker) -> None:
        """Take up a committed part."""
        self.markers[f"{Path(marker.part).stem}.json"] = marker
        if not self.streams:
            self.streams = {name: rows.stream_shape for name, rows in marker.streams.items()}
        order = (marker.sequence, marker.part)
        for row, video in enumerate(marker.videos):
            present = self.rows.get(video)
            if present is None or (present[0].sequence, present[0].part) < order:
                self.rows[video] = (marker, row)

    def row(self, video: str, where: Path) -> tuple[Marker, int]:
        """The part of a video and its place there. Raises VideoNotStored."""
        try:
            return self.rows[video]
        except KeyError:
            count = len(self.damaged)
            hidden = f"; {count} damaged marker{'s' * (count > 1)} may hide it" if count else ""
            raise VideoNotStored(f"{where} has no features of {video!r}{hidden}") from None

    def next_sequence(self, now: int) -> int:
        """A sequence above that of every part known here, whatever this machine's clock says."""
        return max([now, *(marker.sequence + 1 for marker in self.markers.values())])

    def _report(self, name: str, error: DamagedMarker) -> None:
        log.warning("%s", error)
        self.damaged[name] = str(error)

    def _require_same_streams(self, marker: Marker, path: Path) -> None:
        streams = {name: rows.stream_shape for name, rows in marker.streams.items()}
        if self.streams and streams != self.streams:
            raise DamagedMarker(
                f"{path} has the streams {describe(streams)}; the other parts have {describe(self.streams)}"
            )


def describe(streams: Mapping[str, StreamShape | StreamRows]) -> str:
    """Streams for people: `spatial [256, 1024] float16, …`."""
    return ", ".join(f"{name} {list(s.shape)} {s.dtype}" for name, s in sorted(streams.items())) or "none"
