"""Drops what is damaged, so that the next extraction makes it again, and leaves everything else as it is."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from store.care.compact import merge
from store.care.verify import Damage
from store.durable.commit import make_folders, sync
from store.errors import FeaturesNotFound, WriteFailed
from store.feature_set import FeatureSet
from store.format.fingerprint import DESCRIPTION
from store.format.marker import Marker, marker_bytes

ASIDE = "damaged"
"""The folder of markers and parts that were set aside: nothing reads or removes them."""


@dataclass
class Repair:
    """What a repair did, or would do."""

    dropped: list[str] = field(default_factory=list)
    """Videos, sorted, that count as not stored any more."""
    set_aside: list[str] = field(default_factory=list)
    """Damaged markers, which are in another folder now, with their parts."""
    rewritten: list[str] = field(default_factory=list)
    """Parts whose videos are whole but whose metadata were not; their videos have moved to new ones."""
    left: list[Damage] = field(default_factory=list)
    """What could not be read, and may be whole: nothing was done about it."""


def repair(features: FeatureSet, damages: Iterable[Damage], dry_run: bool = False) -> Repair:
    """Commit that the damaged videos which `verify` found count as not stored.

    Earlier versions of a damaged video go with it, so that none of them comes back in its place; later ones
    stay. The parts are not touched: `gc` removes one from which nothing is read any more. A damaged marker is
    set aside with its part. Each step leaves a valid feature set, and the same repair may be run again after
    any of them. Raises WriteFailed, OnlyInFolders, and FeaturesNotFound where the whole set cannot be
    reached.
    """
    if not (features.path / DESCRIPTION).is_file():
        raise FeaturesNotFound(f"{features.path / DESCRIPTION} has gone: is its disk still mounted?")
    done = Repair()
    features.refresh()  # what could not be read for a moment is no damage
    lost: dict[str, set[str]] = defaultdict(set)
    odd_parts: set[str] = set()
    for damage in damages:
        if damage.part in features.index.damaged and _readable(features.path / damage.part):
            done.set_aside.append(damage.part)
        elif not damage.lost or damage.part in features.index.damaged:
            done.left.append(damage)
        elif damage.video is not None:
            lost[damage.part].add(damage.video)
        else:
            odd_parts.add(damage.part)
    done.dropped = sorted(set().union(*lost.values()))
    try:
        for name in [] if dry_run else done.set_aside:
            _set_aside(features.path, name)
        features.refresh()
        for marker, rows in features.index.places():
            whole = [marker.videos[row] for row in rows if marker.videos[row] not in lost[marker.part]]
            if lost[marker.part] and not dry_run:
                _drop(features, marker, lost[marker.part])
            if marker.part in odd_parts and whole:
                done.rewritten.append(marker.part)
                if not dry_run:
                    merge(features, [marker], whole)
    except OSError as error:
        raise WriteFailed(
            f"{features.path}: the repair stopped: {error}. What was whole is whole; run it again"
        ) from error
    return done


def _drop(features: FeatureSet, part: Marker, videos: set[str]) -> None:
    """Commit a marker by which these videos of a part, and earlier versions of them, count as not stored."""
    marker = Marker("", "", 0, [], {}, dropped=sorted(videos))
    marker.put(features.next_place()._replace(sequence=part.sequence + 1), uuid4().hex)
    features.files.write(marker.file, marker_bytes(marker))
    features.take_up(marker)


def _set_aside(folder: Path, name: str) -> None:
    """Move a marker's part away, then the marker: a part without a marker would be removed as litter."""
    marker, aside = folder / name, folder / ASIDE
    make_folders(aside)
    stem = marker.name.partition(".")[0]
    parts = [path for path in marker.parent.glob(f"{stem}*") if path.suffix != ".json"]
    for path in [*parts, marker]:
        path.rename(aside / path.name)
        sync(aside)
        sync(path.parent)


def _readable(file: Path) -> bool:
    try:
        file.read_bytes()
    except OSError:
        return False
    return True
