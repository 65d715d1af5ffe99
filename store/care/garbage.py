"""Removes what nobody needs: dead writers' litter, superseded parts, quarantine entries of stored videos."""

import time
from dataclasses import dataclass, field

from store.care.repair import ASIDE
from store.feature_set import FeatureSet
from store.files import Files
from store.files.litter import find_litter
from store.format.marker import Marker
from store.index import Index

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
    files, found = features.files, Garbage()
    # As it is now: what supersedes a part may have gone since the feature set was opened.
    index = Index()
    index.refresh(files)
    for path in find_litter(files, everywhere=True):
        found.litter[path] = files.size_bytes(path)
        if not dry_run:
            files.remove_all(path)
    stored = (
        {video for marker in index.markers.values() for video in marker.videos} if index.dropped else set()
    )
    for marker, rows in index.places():
        if rows or not stored.isdisjoint(marker.dropped):
            continue
        old = _superseded_hours(files, index, marker) >= grace_hours
        size_bytes = files.size_bytes(marker.part) + files.size_bytes(marker.file)
        (found.superseded if old else found.waiting)[marker.part] = size_bytes
        if old and not dry_run:
            # The marker first, so that none is without its part.
            files.remove(marker.file)
            files.remove_all(marker.part)
    found.set_aside = {name: files.size_bytes(name) for name in files.names() if name.startswith(ASIDE)}
    found.quarantine = [entry.video for entry in features.quarantine.entries() if entry.video in index.rows]
    if found.quarantine and not dry_run:
        features.quarantine.remove(found.quarantine)
    if not dry_run:
        features.refresh()
    return found


def _superseded_hours(files: Files, index: Index, marker: Marker) -> float:
    """How long every video of the part has been in a later one."""
    by = [index.marker(video) or index.dropped[video] for video in marker.videos] or [marker]
    newest = max(files.last_change(file) for file in {later.file for later in by})
    return (time.time() - newest) / 3600
