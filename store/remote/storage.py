"""Object storage behind a URL, through fsspec: a few plain operations, and errors that say what to do."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.backends.base import Span
from store.errors import DamagedPart, RemoteFailed, StoreError
from store.remote.place import parts_of_url

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
_BATCH = 256
_RANGE_BYTES = 8 << 20
"""Longer reads are divided: several connections are faster than one."""


class Remote:
    """The store at a URL. All paths are relative to it, with `/` between their parts.

    Every operation raises RemoteFailed. May be pickled and forked: every process has connections of its own.
    """

    def __init__(self, url: str | Path) -> None:
        self._protocol, self._root = parts_of_url(url)
        self.url = f"{self._protocol}://{self._root}"

    @property
    def files(self) -> Any:
        """The filesystem of fsspec, which keeps one for each process."""
        import fsspec

        try:
            return fsspec.filesystem(self._protocol, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            package = _PACKAGES.get(self._protocol)
            advice = f"install the package {package}: `pip install {package}`" if package else f"{error}"
            raise RemoteFailed(f"{self.url} cannot be opened: {advice}") from None

    def at(self, path: str) -> str:
        """What fsspec calls a path of this store."""
        return f"{self._root}/{path}" if path else self._root

    def names(self, folder: str = "") -> list[str]:
        """What lies directly in a folder, sorted; empty where nothing does."""
        here = self.at(folder).strip("/")
        with self.reaching(folder):
            try:
                found = self.files.ls(here, detail=False)
            except FileNotFoundError:
                self._require_bucket()
                return []
        # Some tools leave an empty object that bears the name of the folder itself.
        paths = {str(path).strip("/") for path in found} - {here}
        return sorted(path.rpartition("/")[2] for path in paths)

    def tree(self, path: str) -> dict[str, int]:
        """All objects at or below a path → size in bytes."""
        with self.reaching(path):
            found: Mapping[str, Any] = self.files.find(self.at(path), detail=True)
        start = len(self.at("/").strip("/")) + 1
        return {str(name).lstrip("/")[start:]: int(entry["size"]) for name, entry in found.items()}

    def last_change(self, path: str) -> float:
        """See Folder: of all objects at or below a path, by the storage's clock; now where none is."""
        with self.reaching(path):
            try:
                moments = [self.files.modified(self.at(found)).timestamp() for found in self.tree(path)]
            except FileNotFoundError:  # it is just being removed
                moments = []
        return max(moments, default=time.time())

    def exists(self, path: str) -> bool:
        """Whether there is an object of that path, now."""
        with self.reaching(path):
            try:
                # Not `isfile`, which takes every error for an object that is not there.
                return bool(self.files.info(self.at(path))["type"] == "file")
            except FileNotFoundError:
                return False

    def read(self, path: str, start: int = 0) -> bytes | None:
        """An object from byte `start` on; None where there is none. Objects never grow."""
        if start:
            return b""
        ((_, content),) = self.read_all([path])
        return content if isinstance(content, bytes) else None

    def read_all(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Each object's bytes, or FileNotFoundError where it has gone; several are fetched at once."""
        for first in range(0, len(paths), _BATCH):
            batch = paths[first : first + _BATCH]
            with self.reaching(batch[0]):
                found = self.files.cat([self.at(path) for path in batch], on_error="return")
                contents = {str(name).lstrip("/"): content for name, content in found.items()}
                for content in contents.values():
                    if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                        raise content
            yield from ((path, contents[self.at(path)]) for path in batch)

    def fill(self, part: str, spans: Iterable[Span], out: NDArray[Any]) -> None:
        """Fill `out`, C-contiguous, with these bytes of a part, one span after the other.

        Raises DamagedPart where an object is missing or too short.
        """
        target = memoryview(out.reshape(-1).view(np.uint8).data)
        pieces = [piece for span in spans for piece in _divided(span)]
        paths = [f"{part}{piece.file}" for piece in pieces]
        starts, stops = [piece.start for piece in pieces], [piece.start + piece.size for piece in pieces]
        done = 0
        with self.reaching(part):
            found: list[bytes | Exception] = self.files.cat_ranges(
                [self.at(path) for path in paths], starts, stops, on_error="return"
            )
            for path, stop, piece, content in zip(paths, stops, pieces, found, strict=True):
                if isinstance(content, Exception):
                    self._require(path, stop)
                    raise content
                if len(content) != piece.size:
                    raise DamagedPart(f"{self.url}/{path} is too short: expected at least {stop:,} bytes")
                target[done : done + piece.size] = content
                done += piece.size

    def download(self, path: str, local: Path) -> None:
        """Copy an object into a local file, whose folders are made."""
        local.parent.mkdir(parents=True, exist_ok=True)
        with self.reaching(path):
            self.files.get_file(self.at(path), str(local))

    def write(self, path: str, content: bytes) -> None:
        """Write an object, whole or not at all."""
        with self.reaching(path):
            self.files.pipe_file(self.at(path), content)

    def create(self, path: str, content: bytes) -> bool:
        """Write a new object; False where there is one already, as far as the storage can tell."""
        with self.reaching(path):
            try:
                self.files.pipe_file(self.at(path), content, mode="create")
            except FileExistsError:
                return False
        return True

    def upload(self, local: Path, path: str) -> None:
        """Copy a local file, or a folder with all it holds, and make sure that all of it has arrived."""
        files = [local] if local.is_file() else sorted(file for file in local.rglob("*") if file.is_file())
        # pathlib's `/ "."`, for a single file, is the path itself.
        targets = [str(PurePosixPath(path) / file.relative_to(local).as_posix()) for file in files]
        with self.reaching(path):
            self.files.put([str(file) for file in files], [self.at(target) for target in targets])
        if self.tree(path) != {t: file.stat().st_size for t, file in zip(targets, files, strict=True)}:
            raise RemoteFailed(f"{self.url}/{path}: what arrived is not what was sent. {_SAFE}")

    def remove(self, *paths: str) -> None:
        """Remove objects, one after the other; those that have gone are no error."""
        for path in paths:
            with self.reaching(path), suppress(FileNotFoundError):
                self.files.rm_file(self.at(path))

    @contextmanager
    def reaching(self, path: str) -> Iterator[None]:
        """Errors of the storage leave as RemoteFailed, apart from FileNotFoundError inside of the block."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            raise RemoteFailed(f"{self.url}/{path}: {_reason(error)} {_SAFE}") from error

    def _require_bucket(self) -> None:
        bucket = self._root.partition("/")[0]
        if self._protocol not in _PACKAGES:
            return
        try:
            self.files.ls(bucket, detail=True)
        except FileNotFoundError:
            raise RemoteFailed(
                f"{self.url}: there is no bucket {bucket!r}: make it, or correct the URL (store.path)"
            ) from None

    def _require(self, path: str, size: int) -> None:
        """Raise DamagedPart where an object is missing or too short: storages do not tell alike."""
        found = self.tree(path).get(path)
        if found is None:
            raise DamagedPart(f"{self.url}/{path} is missing, although its part was committed")
        if found < size:
            raise DamagedPart(f"{self.url}/{path} is too short: {found:,} bytes, expected at least {size:,}")


def _divided(span: Span) -> Iterator[Span]:
    end = span.start + span.size
    for first in range(span.start, end, _RANGE_BYTES):
        yield Span(span.file, first, min(_RANGE_BYTES, end - first))


_SAFE = "Committed videos are safe; run the command again to go on."


def _reason(error: Exception) -> str:
    """What happened and what to do, in one or two sentences."""
    said = f"{type(error).__name__}: {error}".rstrip(".")
    if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
        return (
            f"access was refused ({said}). Give credentials that may read and write there, such as"
            " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or `aws configure` for S3, `gcloud auth"
            " application-default login` for Google."
        )
    if isinstance(error, FileNotFoundError):
        return f"it does not exist ({said}). Make the bucket, or correct the URL (store.path)."
    return f"the storage did not answer as expected ({said}). Check the network and the endpoint."
