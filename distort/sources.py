"""The videos that copies are made of: where they are, how long, and which of them cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from config.errors import Problem
from distort.chain import Extent, extent_of
from distort.footage import Frames, read_frames
from extract.errors import UnreadableVideo
from store.ids import storable_id
from store.labels.folder import find_videos
from store.labels.resolve import IMAGE_EXTENSIONS

_LEAST_LINES = 64
"""What all encoders take."""
_LEAST_FRAMES = 8


class NoSources(Problem):
    """There is no video at the places."""


class UnsuitableSource(UnreadableVideo, kind="unsuitable"):
    """A video of which no copies can be made: too small, too short, or its name is taken."""


@dataclass(frozen=True)
class Source:
    """A video that can be used."""

    name: str
    path: Path
    extent: Extent
    width: int
    height: int
    """Of its copies."""

    def as_json(self) -> dict[str, Any]:
        """What was found out by decoding it."""
        interval = str(self.extent.interval)
        return {
            "frames": self.extent.frames,
            "interval": interval,
            "width": self.width,
            "height": self.height,
        }


def remembered(name: str, path: Path, facts: dict[str, Any]) -> Source:
    """A source of which `as_json` gave the facts."""
    extent = Extent(facts["frames"], Fraction(facts["interval"]))
    return Source(name, path, extent, facts["width"], facts["height"])


def identity(path: Path) -> list[int]:
    """What changes where the file is replaced: its size and its time."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def find_sources(places: Sequence[Path]) -> tuple[dict[str, Path], dict[str, str]]:
    """Name → file of the videos at the places, and file → why of those whose name is taken.

    A place is a folder, searched with its subfolders, or a video. Names are paths below the folder, without
    their ending. Raises NoSources.
    """
    found: dict[str, Path] = {}
    refused: dict[str, str] = {}
    for place in places:
        if not place.exists():
            raise NoSources(f"{place}: there is no such file or folder")
        files = find_videos(place) if place.is_dir() else [place]
        for file in files:
            below = file.relative_to(place) if place.is_dir() else Path(file.name)
            name = storable_id(below.with_suffix("").as_posix())
            if file.suffix.lower() in IMAGE_EXTENSIONS:
                continue
            if name in found and found[name] != file:
                refused[str(file)] = f"{file}: {found[name]} has the same name: rename one of them"
            else:
                found[name] = file
    if not found:
        raise NoSources(f"{', '.join(map(str, places))}: no video there, nor in subfolders")
    return found, refused


def survey(name: str, path: Path, seconds: float, max_lines: int) -> Source:
    """Decode so many seconds of a video once. Raises UnreadableVideo."""
    frames = read_frames(path, seconds, max_lines, threads=1)
    first, time = next(frames)

    def all_frames() -> Frames:
        yield first, time
        yield from frames

    extent = extent_of(all_frames())
    if min(first.width, first.height) < _LEAST_LINES or extent.frames < _LEAST_FRAMES:
        raise UnsuitableSource(
            f"{path}: {extent.frames} frames of {first.width}x{first.height}: expected {_LEAST_FRAMES} frames"
            f" and {_LEAST_LINES} lines at least"
        )
    return Source(name, path, extent, first.width, first.height)
