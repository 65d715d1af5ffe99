"""Removes what nobody needs: dead writers' litter, superseded parts, quarantine entries of stored videos."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from store.care.compact import remove_part
from store.care.repair import ASIDE
from store.durable.commit import remove
from store.durable.litter import find_litter
from store.feature_set import FeatureSet
from store.format.marker import Marker
from store.read.index import Index

GRACE_HOURS = 24.0
"""A superseded part stays this long: a reader that opened the feature set before may still be at it."""


@dataclass
class Garbage:
    """What was removed, or would be; names with their bytes."""

    litter: dict[str, int] = field(default_factory=dict)
    superseded: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    """Superseded parts that readers may still be at."""
    set_aside: dict[str, int] = field(default_factory=dict)
    """What `repair` set aside, which only a person removes."""
    quarantine: list[str] = field(default_factory=list)
    """Videos that are stored by now."""


def collect(features: FeatureSet, grace_hours: float = GRACE_HOURS, dry_run: bool = False) -> Garbage:
    """Remove the garbage of a feature set; writers and readers may be at work.

    A part is superseded when each of its videos is in a later part, and goes once the last of those has been
    there for `grace_hours`.
    """
    folder, found = features.path, Garbage()
    for name in find_litter(folder, everywhere=True):
        found.litter[name] = tree_bytes(folder / name)
        if not dry_run:
            remove(folder / name)
    # As it is now: what supersedes a part may have gone since the feature set was opened.
    index = Index()
    index.refresh(features.files)
    stored = (
        {video for marker in index.markers.values() for video in marker.videos} if index.dropped else set()
    )
    for marker, rows in index.places():
        if rows or not stored.isdisjoint(marker.dropped):
            continue
        old = _superseded_hours(folder, index, marker) >= grace_hours
        size = tree_bytes(folder / marker.part) + tree_bytes(folder / marker.file)
        (found.superseded if old else found.waiting)[marker.part] = size
        if old and not dry_run:
            remove_part(folder, marker)
    found.set_aside = {path.name: tree_bytes(path) for path in sorted(folder.glob(f"{ASIDE}*"))}
    found.quarantine = [entry.video for entry in features.quarantine.entries() if entry.video in index.rows]
    if found.quarantine and not dry_run:
        features.quarantine.remove(found.quarantine)
    if not dry_run:
        features.refresh()
    return found


def tree_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 where there is none."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _superseded_hours(folder: Path, index: Index, marker: Marker) -> float:
    """How long every video of the part has been in a later one."""
    by = [index.marker(video) or index.dropped[video] for video in marker.videos] or [marker]
    try:
        newest = max((folder / file).stat().st_mtime for file in {later.file for later in by})
    except FileNotFoundError:
        return 0.0
    return (time.time() - newest) / 3600
