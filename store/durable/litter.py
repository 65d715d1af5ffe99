"""Removes what stopped writers left behind, and never what another writer is still at."""

import os
import time
from pathlib import Path

from store.durable.commit import remove
from store.durable.owner import is_temporary, owner_alive, unique_of

FOREIGN_HOURS = 24.0
"""Litter whose writer cannot be asked (another machine) is removed after this long without a change."""


def remove_litter(folder: Path, foreign_hours: float = FOREIGN_HOURS, everywhere: bool = False) -> list[str]:
    """Remove what `find_litter` names. Returns the names that were removed."""
    return [name for name in find_litter(folder, foreign_hours, everywhere) if remove(folder / name)]


def find_litter(folder: Path, foreign_hours: float = FOREIGN_HOURS, everywhere: bool = False) -> list[str]:
    """Paths, below a folder, of the temporary files and uncommitted parts of dead writers.

    Of the folders of parts, those are listed in which a dead writer left one; all of them with `everywhere`,
    which also finds parts that have no owner any more.
    """
    if not folder.is_dir():
        return []
    names = _names(folder)
    temporary = [name for name in names if is_temporary(name)]
    dead = [name for name in temporary if _abandoned(folder / name, name, foreign_hours)]
    # A part gets its name while its marker still has a temporary one, which names the owner.
    owned = {unique_of(name.removesuffix(".json")) for name in temporary}
    orphans = {unique_of(name.removesuffix(".json")) for name in dead if name.endswith(".json")}
    litter = []
    within = [name for name in names if name.startswith("parts-")] if orphans or everywhere else []
    for place in ["", *within]:
        found = names if not place else _names(folder / place)
        committed = {name.partition(".")[0] for name in found if name.endswith(".json")}
        for name in found:
            stem = name.partition(".")[0]
            if not name.startswith("part-") or stem in committed:
                continue
            unique, path = stem.removeprefix("part-"), folder / place / name
            abandoned = unique in orphans or (unique not in owned and _abandoned(path, None, foreign_hours))
            # Asked last, as the marker may have come after the folder was listed.
            if abandoned and not any(path.parent.glob(f"{stem}*.json")):
                litter.append(f"{place}/{name}" if place else name)
    return sorted(litter) + dead


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries)


def _abandoned(path: Path, temporary: str | None, foreign_hours: float) -> bool:
    alive = None if temporary is None else owner_alive(temporary.removesuffix(".json"))
    if alive is None:
        return time.time() - _last_change(path) > foreign_hours * 3600
    return not alive


def _last_change(path: Path) -> float:
    """Seconds since 1970 of the newest change in a file or folder; now, if it is being renamed or removed."""
    try:
        return max(entry.lstat().st_mtime for entry in [path, *path.rglob("*")])
    except FileNotFoundError:
        return time.time()
