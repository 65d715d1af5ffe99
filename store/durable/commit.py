"""Durable writes: what is visible under its final name is complete, even after a power failure."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from store.durable.owner import temporary_name


def write_file(path: Path, data: bytes, durable: bool = True) -> None:
    """Write a whole file, or nothing: under a temporary name beside it, synced if `durable`, and renamed."""
    temporary = path.with_name(temporary_name(f".{path.name}"))
    try:
        if durable:
            write_synced(temporary, data)
            publish_file(temporary, path)
        else:
            temporary.write_bytes(data)
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_synced(path: Path, data: bytes) -> None:
    """Write a file in place and sync its bytes, but not its name."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def append_lines(path: Path, lines: bytes) -> None:
    """Add whole lines to a file that this process alone appends to, and sync it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        # What an earlier, failed write left must not spoil the next line.
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            lines = b"\n" + lines
        left = memoryview(lines)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish_file(temporary: Path, final: Path) -> None:
    """Give a synced file its final name, replacing what has it."""
    temporary.replace(final)
    sync(final.parent)


def publish_folder(temporary: Path, final: Path) -> None:
    """Sync a folder (or a file) with all it holds and give it its final name, which must be free."""
    sync_tree(temporary)
    temporary.rename(final)
    sync(final.parent)


def make_folders(path: Path) -> None:
    """Make a folder with its parents, such that they outlive a power failure."""
    if not path.is_dir():
        make_folders(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def remove(path: Path) -> bool:
    """Remove a file or a folder with all it holds, as far as possible. Returns whether it is gone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
    return not path.exists()


def sync_tree(path: Path) -> None:
    """Sync a file, or a folder with every file and folder below it."""
    if path.is_file():
        sync(path)
    for root, _, files in os.walk(path):
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
