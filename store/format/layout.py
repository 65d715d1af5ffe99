"""How the files of a feature set are named, and in which order its parts count.

parts-00000/part-<unique>                    about 250 parts in a folder
parts-00000/part-<unique>.<sequence>.json    the marker: its name says its place in the order of parts
part-<unique>, part-<unique>.json            as earlier versions wrote them: read like the others
"""

import re
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from store.errors import NewerFormat

FORMAT = 1
"""Version of the layout of feature sets; a reader refuses later ones."""
STEP = 1_000_000
"""Between the sequence of a part and that of the next one, at least: room for parts that replace it."""
PARTS_IN_FOLDER = 250
NEWEST = 2
"""Folders of parts that others may still write to."""

PART = re.compile(r"(?:parts-\d{5,}/)?part-[0-9a-z]+(?:\.[0-9a-z]+)?")
_FOLDER = re.compile(r"parts-\d{5,}")
_MARKER = re.compile(r"part-[0-9a-z]+\.(\d+)\.json")


class Place(NamedTuple):
    """Where a part goes, and as what."""

    folder: str
    sequence: int


def require_format(file: str, version: object) -> None:
    """Raise NewerFormat where a file says that it has a later format."""
    if not isinstance(version, int) or version > FORMAT:
        raise NewerFormat(
            f"{file} has format {version!r}; this version reads up to {FORMAT}: update this program"
        )


def is_parts_folder(name: str) -> bool:
    """Whether a folder's name is that of a folder of parts."""
    return _FOLDER.fullmatch(name) is not None


def parts_folders(names: Iterable[str]) -> list[str]:
    """Those of the names that are folders of parts, oldest first."""
    return sorted(filter(is_parts_folder, names), key=lambda name: (len(name), name))


def is_marker(name: str) -> bool:
    """Whether a file's name is that of a part's marker."""
    return name.startswith("part-") and name.endswith(".json")


def part_name(place: Place, unique: str, suffix: str = "") -> str:
    """Path of a part below its feature set."""
    return f"{place.folder}/part-{unique}{suffix}"


def marker_name(part: str, sequence: int) -> str:
    """Path of a part's marker."""
    stem = part.partition(".")[0]
    return f"{stem}.{sequence:020}.json" if "/" in part else f"{stem}.json"


def next_place(names: Callable[[str], list[str]], latest_of_old: Callable[[], int]) -> Place:
    """Where the next part goes, with a sequence above that of every part that is there.

    Whatever the clock says: that only keeps apart parts whose writers do not see each other. Only the newest
    folders are listed (`names`), however many parts there are. `latest_of_old` is asked where these hold
    nothing: the sequence of the latest part known by other means.
    """
    folders = parts_folders(names(""))
    found: list[list[int]] = []
    for folder in reversed(folders):
        found.append([int(match[1]) for name in names(folder) if (match := _MARKER.fullmatch(name))])
        # In the one before the newest may be the part of a writer that took its time.
        if len(list(filter(None, found))) == NEWEST:
            break
    latest = max((sequence for sequences in found for sequence in sequences), default=None)
    number = int(folders[-1].removeprefix("parts-")) if folders else 0
    full = bool(found) and len(found[0]) >= PARTS_IN_FOLDER
    after = latest_of_old() if latest is None else latest
    return Place(f"parts-{number + full:05}", max(time.time_ns(), after + STEP))
