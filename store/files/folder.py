"""A feature set's files in a folder of a file system.

Reads go by position. Nothing stays open and nothing is shared: threads, forked and spawned processes may all
read. What Python does around the system's call is kept little, as it runs with caches that the features have
just emptied: each microsecond elsewhere is four here.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.ahead import read_ahead
from store.backends.base import Span
from store.durable.commit import (
    append_lines,
    make_folders,
    publish_file,
    remove,
    sync,
    sync_tree,
    write_file,
    write_synced,
)
from store.errors import DamagedPart, read_failed, write_failed
from store.files.root import make_store
from store.format.layout import Place, is_parts_folder
from store.format.marker import Marker, marker_bytes

_READERS = 8
_BATCH = 64


@dataclass(frozen=True)
class Folder:
    """Files in a folder. Everything may raise ReadFailed or WriteFailed."""

    path: Path
    root: Path | None
    """The folder of the store that it belongs to, made with it; None where it belongs to none."""
    durable: bool = True
    """Whether what is written outlives a power failure."""

    @property
    def location(self) -> str:
        """Where it is, for people."""
        return str(self.path)

    def make(self) -> None:
        """Make the folder, with its parents, of a store up to the store's. Raises StoreMissing."""
        with self._writing(""):
            if self.root is not None:
                make_store(self.root)
            make_folders(self.path)

    def names(self, folder: str = "") -> list[str]:
        """What lies directly in a folder, sorted; nothing where there is no such folder."""
        return sorted(entry.name for entry in self._entries(folder))

    def stamps(self) -> dict[str, int]:
        """What lies here; each folder of parts with a number that changes with what lies in it."""
        with self._reading(""):
            return {
                entry.name: entry.stat().st_mtime_ns if is_parts_folder(entry.name) else 0
                for entry in self._entries("")
            }

    def exists(self, path: str) -> bool:
        """Whether there is such a file now."""
        with self._reading(path):
            return (self.path / path).is_file()

    def read(self, path: str, start: int = 0) -> bytes | None:
        """A file from byte `start` on; None where there is none."""
        with self._reading(path), suppress(FileNotFoundError), (self.path / path).open("rb") as file:
            file.seek(start)
            return file.read()
        return None

    def read_all(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Each file's bytes, or why there are none; a few threads read ahead, as each may be far away."""
        batches = [paths[first : first + _BATCH] for first in range(0, len(paths), _BATCH)]
        threads = _READERS if len(batches) > 1 else 0
        for batch in read_ahead(self._read_batch, batches, threads, ahead=_READERS):
            yield from batch

    def fill(self, part: str, spans: list[Span], out: NDArray[Any]) -> None:
        """Fill `out`, C-contiguous, with these bytes of a part, one span after the other.

        Raises DamagedPart where a file is missing or too short.
        """
        content = out.view(np.uint8)  # as bytes, because the buffer protocol does not know bfloat16
        start = f"{self.path}/{part}"
        if len(spans) == 1:
            _fill(start + spans[0].file, spans[0].start, content)
            return
        content = content.reshape(-1)
        for file, first, size in spans:
            _fill(start + file, first, content[:size])
            content = content[size:]

    def size_bytes(self, path: str) -> int:
        """Of a file, or of all files in a folder; 0 where there is none."""
        return sum(found.st_size for found in self._stats(path) if stat.S_ISREG(found.st_mode))

    def last_change(self, path: str) -> float:
        """When a file or a folder was last changed, in seconds since 1970; now, while it is being removed."""
        return max((found.st_mtime for found in self._stats(path)), default=time.time())

    def write(self, path: str, data: bytes) -> None:
        """Write a whole file, or nothing."""
        with self._writing(path):
            if "/" in path:
                make_folders((self.path / path).parent)
            write_file(self.path / path, data, self.durable)

    def create(self, path: str, data: bytes) -> bool:
        """Write a new file; False where there is one of that name: of several processes, one gets True.

        Whoever reads it meanwhile may find it empty. Object storage that knows no conditional writes may let
        several get True.
        """
        with self._writing(path):
            try:
                with (self.path / path).open("xb") as file:
                    file.write(data)
            except FileExistsError:
                return False
        return True

    def append(self, name: str, data: bytes) -> None:
        """Add whole lines to NAME.jsonl, which this process alone appends to, durably."""
        with self._writing(name):
            append_lines(self.path / f"{name}.jsonl", data)

    def remove(self, *paths: str) -> None:
        """Remove files, one after the other; those that have gone are no error."""
        for path in paths:
            with self._writing(path):
                (self.path / path).unlink(missing_ok=True)
                if self.durable:
                    with suppress(FileNotFoundError):  # the folder has gone, too
                        sync((self.path / path).parent)

    def remove_all(self, path: str = "") -> None:
        """Remove a file, or a folder with all that it holds, as far as possible."""
        remove(self.path / path)

    def remove_empty(self) -> None:
        """Remove the folder if it is empty, and the one that it is in likewise."""
        with suppress(OSError):
            if self.path.is_dir():
                self.path.rmdir()
            self.path.parent.rmdir()

    def workplace(self) -> Path:
        """The folder in which parts are made."""
        return self.path

    def publish(self, built: Path, unique: str, marker: Marker, look: Callable[[], Place]) -> None:
        """Make a complete part visible under its final name, and last of all its marker.

        `look` says where, and as what in the order of parts: it is asked as late as can be. The marker's
        temporary file stands first: by it, the part has an owner. Raises OSError.
        """
        sync_tree(built)
        marker.put(look(), unique)
        pending = built.with_name(f"{built.name}.json")
        try:
            write_synced(pending, marker_bytes(marker))
            part = self.path / marker.part
            make_folders(part.parent)
            built.rename(part)
            sync(part.parent)
            publish_file(pending, self.path / marker.file)
        except BaseException:
            if not (self.path / marker.file).exists():
                remove(self.path / marker.part)
            remove(pending)
            raise

    @contextmanager
    def descriptions(self, marker: Marker) -> Iterator[Path]:  # noqa: ARG002
        """A folder that holds, where the part is, what other tools go by in it."""
        yield self.path

    def _entries(self, folder: str) -> list["os.DirEntry[str]"]:
        missing = suppress(FileNotFoundError, NotADirectoryError)
        with self._reading(folder), missing, os.scandir(self.path / folder) as entries:
            return list(entries)
        return []

    def _stats(self, path: str) -> list[os.stat_result]:
        """Of a file, or of a folder and all that it holds; none where some of it is just being removed."""
        with self._reading(path), suppress(FileNotFoundError):
            return [found.lstat() for found in [self.path / path, *(self.path / path).rglob("*")]]
        return []

    def _read_batch(self, paths: Sequence[str]) -> list[tuple[str, bytes | OSError]]:
        return [(path, self._content(path)) for path in paths]

    def _content(self, path: str) -> bytes | OSError:
        try:
            return (self.path / path).read_bytes()
        except OSError as error:
            return error

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise read_failed(str(self.path / path), error) from error

    @contextmanager
    def _writing(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise write_failed(str(self.path / path), error) from error


def _fill(file: str, start: int, target: NDArray[np.uint8]) -> None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise DamagedPart(
            f"{file} cannot be opened ({error.strerror}), although its part was committed"
        ) from None
    try:
        while got := os.preadv(descriptor, [target.data], start):
            if got == target.nbytes:
                return
            target = target.reshape(-1)[got:]
            start += got
        size, expected = os.fstat(descriptor).st_size, start + target.nbytes
        raise DamagedPart(f"{file} is too short: {size:,} bytes, expected at least {expected:,}")
    except OSError as error:
        raise DamagedPart(f"{file} cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
