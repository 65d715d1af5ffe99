"""Object storage behind a URL, through fsspec: a few plain operations, and errors that say what to do."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from store.errors import RemoteFailed, StoreError
from store.remote.place import parts_of_url

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


@dataclass(frozen=True)
class Entry:
    """An object, or what looks like a folder."""

    name: str
    """Without what stands before it."""
    size_bytes: int
    is_folder: bool


def _entry(info: Mapping[str, Any]) -> Entry:
    name = str(info["name"]).rstrip("/").rpartition("/")[2]
    return Entry(name, int(info["size"] or 0), info["type"] == "directory")


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

    def list(self, path: str) -> list[Entry]:
        """What lies directly below a path, by name; empty where nothing does."""
        with self.reaching(path):
            try:
                found = self.files.ls(self.at(path), detail=True)
            except FileNotFoundError:
                self._require_bucket()
                return []
        here = self.at(path).strip("/")
        # Some tools leave an empty object that bears the name of the folder itself.
        entries = [_entry(info) for info in found if str(info["name"]).strip("/") != here]
        return sorted(entries, key=lambda entry: entry.name)

    def tree(self, path: str) -> dict[str, int]:
        """All objects at or below a path → size in bytes."""
        with self.reaching(path):
            found: Mapping[str, Any] = self.files.find(self.at(path), detail=True)
        start = len(self.at("/").strip("/")) + 1
        return {str(name).lstrip("/")[start:]: int(entry["size"]) for name, entry in found.items()}

    def modified(self, path: str) -> datetime:
        """When an object was written, by the storage's clock."""
        with self.reaching(path):
            moment: datetime = self.files.modified(self.at(path))
        return moment

    def exists(self, path: str) -> bool:
        """Whether there is an object of that path, now."""
        with self.reaching(path):
            try:
                # Not `isfile`, which takes every error for an object that is not there.
                return bool(self.files.info(self.at(path))["type"] == "file")
            except FileNotFoundError:
                return False

    def read(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Whole objects, several at once; those that have gone are left out."""
        if not paths:
            return {}
        with self.reaching(paths[0]):
            found = self.files.cat([self.at(path) for path in paths], on_error="return")
            contents = {str(name).lstrip("/"): content for name, content in found.items()}
            for content in contents.values():
                if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                    raise content
        whole = {path: contents[self.at(path)] for path in paths}
        return {path: content for path, content in whole.items() if isinstance(content, bytes)}

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
        targets = [
            path if file == local else f"{path}/{file.relative_to(local).as_posix()}" for file in files
        ]
        with self.reaching(path):
            self.files.put([str(file) for file in files], [self.at(target) for target in targets])
        expected = {target: file.stat().st_size for file, target in zip(files, targets, strict=True)}
        if self.tree(path) != expected:
            raise RemoteFailed(f"{self.url}/{path}: what arrived is not what was sent. {_SAFE}")

    def remove(self, paths: Sequence[str]) -> None:
        """Remove objects; those that have gone are no error."""
        with self.reaching(paths[0]):
            for path in paths:
                try:
                    self.files.rm_file(self.at(path))
                except FileNotFoundError:
                    continue

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
