"""The folder of a store, and when it may be made."""

import logging
import os
from pathlib import Path

from store.durable.commit import make_folders, write_file
from store.errors import StoreMissing
from store.format.fingerprint import DESCRIPTION, STORE, store_description

log = logging.getLogger(__name__)

_MOUNTS = Path("/etc/fstab")


def make_store(root: Path) -> None:
    """Make a store, unless there is one; that it is new is logged.

    Raises StoreMissing where a file is there instead, the folder's parent is missing, or its disk is known
    and not mounted: the store may be elsewhere, and everything would be extracted again.
    """
    if (root / STORE).is_file():
        return
    if root.exists() and not root.is_dir():
        raise StoreMissing(f"{root} is a file: expected a store's folder; correct the path (store.path)")
    if not root.is_dir() and not root.parent.is_dir():
        raise StoreMissing(
            f"there is no store at {root}, nor the folder {root.parent}: correct the path (store.path),"
            " mount its disk, or make that folder"
        )
    if (disk := _unmounted(root.absolute())) is not None:
        raise StoreMissing(
            f"there is no store at {root}: {disk} is in {_MOUNTS} and is not mounted; mount it"
        )
    old = any(root.glob(f"*/*@*/{DESCRIPTION}"))
    make_folders(root)
    write_file(root / STORE, store_description())
    if not old:
        log.info("new store made at %s", root)


def _unmounted(root: Path) -> Path | None:
    """The mount point at or above the folder that the system's table has, where nothing is mounted."""
    mounted = _mount_points(Path("/proc/self/mounts"))  # bind mounts too, be they of the same file system
    within = [point for point in _mount_points(_MOUNTS) if point.is_absolute() and root.is_relative_to(point)]
    return next((point for point in within if point not in mounted and not os.path.ismount(point)), None)


def _mount_points(table: Path) -> list[Path]:
    """The second column of /etc/fstab, or of what looks like it; none where there is no such file."""
    try:
        lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows = [line.split() for line in lines if not line.startswith("#")]
    return [Path(row[1].replace("\\040", " ")) for row in rows if len(row) > 2]
