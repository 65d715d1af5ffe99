"""What tells one source from another, so that the same import twice has one key and a changed one two."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from store.exchange.source import Progress


def digest(files: Mapping[str, Path], rule: str, progress: Progress) -> dict[str, str]:
    """The digest of a source's files (name within the source → path), as its specification records it.

    `content`: of all bytes. Two sources with one key then hold the same numbers, wherever they lie.
    `listing`: of names, sizes and times of change, for sources too large to be read twice. A copy that does
    not keep the times has another key; what was changed and given its old time back has not.
    """
    whole = hashlib.sha256()
    for name in progress(sorted(files), "digest"):
        try:
            state = file_sha256(files[name]) if rule == "content" else _size_and_time(files[name])
        except OSError as error:
            # It costs its own video only, and is a difference like any other.
            state = f"unreadable {error.errno}"
        whole.update(f"{name}\0{state}\n".encode("utf-8", "surrogateescape"))
    return {"rule": rule, "sha256": whole.hexdigest()}


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size_and_time(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size}\0{status.st_mtime_ns}"
