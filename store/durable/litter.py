"""Removes what stopped writers left behind, and never what another writer is still at."""

import os
import time
from pathlib import Path

from store.durable.commit import remove
from store.durable.owner import is_temporary, owner_alive, unique_of

FOREIGN_HOURS = 24.0
"""Litter whose writer cannot be asked (another machine) is removed after this long without a change."""


def remove_litter(folder: Path, foreign_hours: float = FOREIGN_HOURS) -> list[str]:
    """Remove temporary files and uncommitted parts of dead writers. Returns the names that were removed."""
    return [name for name in find_litter(folder, foreign_hours) if remove(folder / name)]


def find_litter(folder: Path, foreign_hours: float = FOREIGN_HOURS) -> list[str]:
    """Names of the temporary files and uncommitted parts of dead writers."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    committed = {name.removesuffix(".json") for name in names if name.endswith(".json")}
    # A part gets its name while its marker still has a temporary one, which names the owner.
    owners = {unique_of(name.removesuffix(".json")): name for name in names if is_temporary(name)}
    litter = []
    for name in names:
        path = folder / name
        if is_temporary(name):
            abandoned = _abandoned(path, name, foreign_hours)
        elif name.startswith("part-") and name.partition(".")[0] not in committed:
            unique = Path(name).stem.removeprefix("part-")
            # Asked last, as the marker may have come after the folder was listed.
            abandoned = (
                _abandoned(path, owners.get(unique), foreign_hours)
                and not (folder / f"part-{unique}.json").exists()
            )
        else:
            continue
        if abandoned:
            litter.append(name)
    return litter


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
