"""Durable writes: what is visible under its final name is complete, even after a power failure."""

import os
from pathlib import Path

from store.owner import temporary_name


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file: under a temporary name beside it, synced, renamed, and the folder synced."""
    temporary = path.with_name(temporary_name(path.name))
    try:
        write_synced(temporary, data)
        publish_file(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_synced(path: Path, data: bytes) -> None:
    """Write a file in place and sync its bytes, but not its name."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def publish_file(temporary: Path, final: Path) -> None:
    """Give a synced file its final name, replacing what has it."""
    temporary.replace(final)
    sync(final.parent)


def publish_folder(temporary: Path, final: Path) -> None:
    """Sync a folder with all it holds and give it its final name, which must be free or an empty folder."""
    sync_tree(temporary)
    temporary.rename(final)
    sync(final.parent)


def make_folders(path: Path) -> None:
    """Make a folder with its parents, such that they outlive a power failure."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def sync_tree(folder: Path) -> None:
    """Sync every file and folder below `folder`, and itself."""
    for root, _, files in os.walk(folder):
        for name in files:
            sync(Path(root, name))
        sync(Path(root))


def sync(path: Path) -> None:
    """fsync of a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
