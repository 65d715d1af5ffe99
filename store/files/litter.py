"""What stopped writers left behind, and never what another writer is still at."""

import time

from store.durable.owner import is_temporary, owner_alive, unique_of
from store.files import Bucket, Files, Folder
from store.format.layout import NEWEST, is_marker, parts_folders
from store.remote.place import scratch

FOREIGN_HOURS = 24.0
"""Litter whose writer cannot be asked (another machine) is removed after this long without a change."""


def remove_litter(files: Files, foreign_hours: float = FOREIGN_HOURS) -> list[str]:
    """Remove what `find_litter` names, and what this machine's own writers left here. Returns the names."""
    if isinstance(files, Bucket):
        remove_litter(Folder(scratch(), scratch()))
    litter = find_litter(files, foreign_hours)
    for path in litter:
        files.remove_all(path)
    return litter


def find_litter(files: Files, foreign_hours: float = FOREIGN_HOURS, everywhere: bool = False) -> list[str]:
    """Paths of the temporary files and uncommitted parts of dead writers.

    Of the folders of parts, those are listed in which a dead writer left one, and the newest in object
    storage, which cannot say whether a writer lives; all of them with `everywhere`, which also finds parts
    that have no owner any more.
    """
    root = files.names()
    temporary = [name for name in root if is_temporary(name)]
    dead = {name for name in temporary if _abandoned(files, name, foreign_hours)}
    # A part gets its name while its marker still has a temporary one, which names the owner.
    owned = {unique_of(name.removesuffix(".json")) for name in temporary}
    orphans = {unique_of(name.removesuffix(".json")) for name in dead if name.endswith(".json")}
    folders = parts_folders(root)
    if not (orphans or everywhere):
        folders = folders[-NEWEST:] if isinstance(files, Bucket) else []
    litter = list(dead)
    for folder in ["", *folders]:
        names, prefix = (files.names(folder), f"{folder}/") if folder else (root, "")
        committed = _committed(names)
        for name in names:
            stem, path = name.partition(".")[0], prefix + name
            unique = stem.removeprefix("part-")
            if is_temporary(name):
                if folder and _abandoned(files, path, foreign_hours):
                    litter.append(path)
            elif name.startswith("part-") and stem not in committed:
                dead_part = unique in orphans or (
                    unique not in owned and _abandoned(files, path, foreign_hours)
                )
                # Asked last, as the marker may have come after the folder was listed.
                if dead_part and stem not in _committed(files.names(folder)):
                    litter.append(path)
    return sorted(litter)


def _committed(names: list[str]) -> set[str]:
    """The parts, without their suffixes, whose markers are among the names."""
    return {name.partition(".")[0] for name in names if is_marker(name)}


def _abandoned(files: Files, path: str, foreign_hours: float) -> bool:
    alive = owner_alive(path.removesuffix(".json")) if is_temporary(path) else None
    if alive is None:
        return time.time() - files.last_change(path) > foreign_hours * 3600
    return not alive
