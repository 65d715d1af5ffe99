"""Where a video's bytes lie: in a file, at a URL, or within a tar; and what tells that they were replaced."""

import hashlib
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from extract.errors import MissingFile, UnreachableVideo

_BLOCK_BYTES = 4 << 20
_SAMPLE_BYTES = 64 << 10
_SAMPLES = 4
_WAITS_SECONDS = (1.0, 4.0)
_MODIFIED = ("ETag", "LastModified", "Last-Modified", "last_modified", "mtime")
"""What file systems of fsspec call the thing that changes with a file."""


@dataclass(frozen=True)
class RemoteVideo:
    """A video that is no local file: an object at a URL of fsspec, or a stretch of a tar.

    member: its name within the tar, which begins at the byte `offset`; "" for a whole object.
    size_bytes, modified: as far as a listing told them; 0 and "" where it did not.
    """

    url: str
    member: str = ""
    offset: int = 0
    size_bytes: int = 0
    modified: str = ""

    def __str__(self) -> str:
        return f"{self.url}:{self.member}" if self.member else self.url

    def copied(self, file: IO[bytes]) -> Iterator[None]:
        """Copy the video into the file, block by block.

        Tried three times. Raises MissingFile, or UnreachableVideo with the last reason.
        """
        for wait_seconds in (*_WAITS_SECONDS, None):
            file.seek(0)
            file.truncate()
            try:
                yield from self._copied(file)
                return
            except Exception as error:
                if _absent(error):
                    raise MissingFile(f"{self}: no such file") from None
                if wait_seconds is None:
                    raise UnreachableVideo(
                        f"{self}: cannot be fetched: {type(error).__name__}: {error}; see to the network, the"
                        " credentials or the room in TMPDIR"
                    ) from error
                time.sleep(wait_seconds)

    def _copied(self, file: IO[bytes]) -> Iterator[None]:
        files, path = file_system(self.url)
        # Whole objects of the web come as a stream, for servers that know no ranges.
        block_size = 0 if is_http(self.url) and not self.member else _BLOCK_BYTES
        left = self.size_bytes if self.member else sys.maxsize
        with files.open(path, "rb", block_size=block_size) as remote:
            if self.member:
                remote.seek(self.offset)
            while block := remote.read(min(left, _BLOCK_BYTES)):
                file.write(block)
                left -= len(block)
                yield
        file.flush()
        if self.member and left:
            raise EOFError(f"the tar ends {left} bytes before its member does")


Location = Path | RemoteVideo


@dataclass(frozen=True)
class FileStamp:
    """What is noted of a video's file beside its features.

    file_modified: the time of the last change, or an object's ETag. file_sample: hash of a few blocks.
    """

    file_bytes: int
    file_modified: str
    file_sample: str

    @classmethod
    def of(cls, location: Location, local: Path) -> Self:
        """Of a video whose bytes are in the file `local` now. Raises OSError."""
        size, modified = status(location)
        if not local.is_file():
            raise FileNotFoundError(str(local))  # reading a pipe would wait for ever
        return cls(local.stat().st_size or size, modified, _sample(local))


def replaced(meta: Mapping[str, Any], location: Location) -> bool:
    """Whether the video is another one than that whose features bear the meta data.

    No where it cannot be told: the video is away, or nothing was noted. A file of the same size that only
    has another time is read in a few places.
    """
    noted: int = int(meta.get("file_bytes") or 0)
    try:
        size, modified = status(location)
        if not noted or not size:
            return False
        if size != noted:
            return True
        if "file_sample" not in meta or modified == meta["file_modified"]:
            return False
        return _sample(location) != str(meta["file_sample"])
    except Exception:  # noqa: BLE001 - each storage has errors of its own
        return False


def status(location: Location) -> tuple[int, str]:
    """Size in bytes, and what changes when the file is replaced: as listed, or as the storage says.

    Raises OSError.
    """
    if not isinstance(location, RemoteVideo):
        found = location.stat()
        return found.st_size, str(found.st_mtime_ns)
    if location.size_bytes and location.modified:
        return location.size_bytes, location.modified
    files, path = file_system(location.url)
    info = files.info(path)
    return int(info.get("size") or 0), modified_of(info)


def file_system(url: str) -> tuple[Any, str]:
    """The file system of fsspec for a URL or a path, and what it calls it. Raises ImportError, ValueError."""
    import fsspec  # only where it is used: a decode worker must start fast

    # Proxies of the environment count, as for other programs.
    options = {"client_kwargs": {"trust_env": True}} if is_http(url) else {}
    files, path = fsspec.url_to_fs(url, **options)
    return files, path


def is_http(url: str) -> bool:
    """Whether the URL is one of the web."""
    return url.startswith(("http://", "https://"))


def modified_of(info: Mapping[str, Any]) -> str:
    """What changes with the file, of what fsspec tells about it; "" if nothing does."""
    return next((str(info[key]) for key in _MODIFIED if info.get(key)), "")


def _absent(error: Exception) -> bool:
    """Whether the storage has answered that there is no such object."""
    # fsspec calls a web server that does not answer FileNotFoundError as well, and keeps the cause.
    cause = error.__cause__
    failed = type(cause).__module__.startswith("aiohttp") and getattr(cause, "status", None) not in (404, 410)
    return isinstance(error, FileNotFoundError) and not failed


def _sample(location: Location) -> str:
    """Hash of the size and of a few blocks, evenly spread from the first to the last. Raises OSError."""
    size, begin = status(location)[0], 0
    if isinstance(location, RemoteVideo):
        files, path = file_system(location.url)
        begin, file = location.offset, files.open(path, "rb", block_size=_SAMPLE_BYTES)
    else:
        file = location.open("rb")
    total = hashlib.blake2b(str(size).encode(), digest_size=8)
    with file:
        for number in range(_SAMPLES):
            start = max(0, size - _SAMPLE_BYTES) * number // (_SAMPLES - 1)
            file.seek(begin + start)
            total.update(file.read(min(_SAMPLE_BYTES, size - start)))
    return total.hexdigest()
