"""Drops what is damaged, so that the next extraction makes it again, and leaves everything else as it is."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from store.care.compact import merge, require_folder
from store.care.verify import Damage
from store.durable.commit import remove, sync, write_file
from store.errors import DamagedMarker, FeaturesNotFound, WriteFailed
from store.feature_set import FeatureSet
from store.format.description import DESCRIPTION
from store.format.marker import Marker, StreamRows, marker_bytes, read_marker

ASIDE = "damaged-"
"""Begins the names of markers and parts that were set aside: nothing reads or removes them."""


@dataclass
class Repair:
    """What a repair did, or would do."""

    dropped: list[str] = field(default_factory=list)
    """Videos, sorted, that count as not stored any more."""
    removed: list[str] = field(default_factory=list)
    """Parts without any video left."""
    set_aside: list[str] = field(default_factory=list)
    """Damaged markers, which have other names now, with their parts."""
    rewritten: list[str] = field(default_factory=list)
    """Parts whose videos are whole but whose metadata were not; their videos have moved to new ones."""
    left: list[Damage] = field(default_factory=list)
    """What could not be read, and may be whole: nothing was done about it."""


def repair(features: FeatureSet, damages: Iterable[Damage], dry_run: bool = False) -> Repair:
    """Drop the damaged videos that `verify` found, by writing the markers of their parts anew without them.

    Earlier versions of a damaged video go with it, so that none of them comes back in its place. A damaged
    marker is set aside with its part. What other writers commit meanwhile is not touched. Each step leaves a
    valid feature set, and the same repair may be run again after any of them. Raises WriteFailed, and
    FeaturesNotFound where the whole feature set cannot be reached.
    """
    require_folder(features)
    if not (features.path / DESCRIPTION).is_file():
        raise FeaturesNotFound(f"{features.path / DESCRIPTION} has gone: is its disk still mounted?")
    done = Repair()
    lost: set[str] = set()
    odd_parts: set[str] = set()
    for damage in damages:
        if damage.part in features.index.damaged and _readable(features.path / damage.part):
            done.set_aside.append(damage.part)
        elif not damage.lost or damage.part in features.index.damaged:
            done.left.append(damage)
        elif damage.video is not None:
            lost.add(damage.video)
        else:
            odd_parts.add(damage.part)
    done.dropped = sorted(lost)
    try:
        for name in done.set_aside:
            if not dry_run:
                _set_aside(features.path, name)
        _drop(features, lost, done, dry_run)
        _rewrite(features, odd_parts, lost, done, dry_run)
    except OSError as error:
        raise WriteFailed(
            f"{features.path}: the repair stopped: {error}. What was whole is whole; run it again"
        ) from error
    finally:
        # A marker that is known is not read again, and some have changed.
        del features.index
    return done


def without(marker: Marker, videos: set[str]) -> Marker:
    """The marker of the same part that leaves out these videos."""
    kept = [row for row, video in enumerate(marker.videos) if video not in videos]
    return replace(
        marker,
        videos=[marker.videos[row] for row in kept],
        streams={name: _rows(rows, kept) for name, rows in marker.streams.items()},
        meta=[marker.meta[row] for row in kept],
    )


def _rows(rows: StreamRows, kept: list[int]) -> StreamRows:
    fewer = replace(
        rows,
        offsets=[rows.offsets[row] for row in kept],
        lengths=[rows.lengths[row] for row in kept],
        crc32c=[rows.crc32c[row] for row in kept],
        spare_items=0,
    )
    return replace(fewer, spare_items=rows.total - fewer.total)


def _drop(features: FeatureSet, lost: set[str], done: Repair, dry_run: bool) -> None:
    # Oldest first: stopped in between, the damaged version is still the one that counts.
    for known, _ in features.index.places():
        if lost.isdisjoint(known.videos):
            continue
        file = features.path / known.file
        try:
            marker = without(read_marker(file), lost)
        except DamagedMarker as error:
            done.left.append(Damage(known.file, None, None, str(error)))
            continue
        if not marker.videos:
            done.removed.append(marker.part)
        if dry_run:
            continue
        if marker.videos:
            write_file(file, marker_bytes(marker))
        else:
            remove_part(features.path, marker)


def remove_part(folder: Path, marker: Marker) -> None:
    """Remove a part that nothing is read from: its marker first, so that no marker is without its part."""
    (folder / marker.file).unlink(missing_ok=True)
    sync(folder)
    remove(folder / marker.part)


def _rewrite(features: FeatureSet, parts: set[str], lost: set[str], done: Repair, dry_run: bool) -> None:
    for marker, rows in features.index.places():
        whole = [marker.videos[row] for row in rows if marker.videos[row] not in lost]
        if marker.part in parts and whole:
            done.rewritten.append(marker.part)
            if not dry_run:
                merge(features, [marker], whole)


def _set_aside(folder: Path, name: str) -> None:
    """Rename a marker's part, then the marker: a part without a marker would be removed as litter."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    stem = name.removesuffix(".json")
    for part in names:
        if part.partition(".")[0] == stem and part != name:
            (folder / part).rename(_free(folder / f"{ASIDE}{part}"))
    sync(folder)
    (folder / name).rename(_free(folder / f"{ASIDE}{name}"))
    sync(folder)


def _free(path: Path) -> Path:
    number = 2
    free = path
    while free.exists():
        free = path.with_name(f"{path.name}-{number}")
        number += 1
    return free


def _readable(file: Path) -> bool:
    try:
        file.read_bytes()
    except OSError:
        return False
    return True
