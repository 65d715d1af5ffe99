"""What tells one source from another, so that the same import twice has one key and a changed one two."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from store.exchange.source import Progress

_THREADS = 4
_BATCH = 1024


def digest(files: Mapping[str, Path], rule: str, progress: Progress) -> dict[str, str]:
    """The digest of a source's files (name within the source → path), as its specification records it.

    `content`: of all bytes. Two sources with one key then hold the same numbers, wherever they lie.
    `listing`: of names, sizes and times of change, for sources too large to be read twice. A copy that does
    not keep the times has another key; what was changed and given its old time back has not.
    """
    names = sorted(files)
    state = _content if rule == "content" else _size_and_time
    whole = hashlib.sha256()
    with ThreadPoolExecutor(_THREADS) as pool:
        batches = (names[first : first + _BATCH] for first in range(0, len(names), _BATCH))
        found = chain.from_iterable(pool.map(state, map(files.__getitem__, batch)) for batch in batches)
        for name, value in zip(progress(names, "digest"), found, strict=True):
            whole.update(f"{name}\0{value}\n".encode("utf-8", "surrogateescape"))
    return {"rule": rule, "sha256": whole.hexdigest()}


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _content(path: Path) -> str:
    # A file that cannot be read costs its own video only, and is a difference like any other.
    try:
        return file_sha256(path)
    except OSError as error:
        return f"unreadable {error.errno}"


def _size_and_time(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        return f"unreadable {error.errno}"
    return f"{status.st_size}\0{status.st_mtime_ns}"
