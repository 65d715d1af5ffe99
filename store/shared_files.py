"""Small files by which processes, on any machines, agree: in a folder, or in object storage."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from store.durable.commit import remove
from store.durable.owner import temporary_name
from store.errors import WriteFailed
from store.files.root import make_store
from store.remote.place import as_folder, is_url
from store.remote.storage import Remote


def shared_files(root: Path | str, path: str) -> "SharedFiles":
    """Those below a store's root, which is a folder or a URL. Nothing is made before `make`."""
    if is_url(root):
        return _RemoteFiles(Remote(root), path)
    return SharedFiles(as_folder(root) / path, as_folder(root))


class SharedFiles:
    """Files of one folder, written and read whole. They need not survive a power failure.

    Everything raises WriteFailed, or RemoteFailed where they are in object storage.
    """

    def __init__(self, folder: Path, store: Path | None = None) -> None:
        """`store`: the root of the store that the folder is in, made with it."""
        self._folder = folder
        self._store = store
        self.location = str(folder)
        """Where they are, for people."""

    def make(self) -> None:
        """Make the folder. Raises StoreMissing where the store's own disk seems not to be mounted."""
        with self._writing(""):
            if self._store is not None:
                make_store(self._store)
            self._folder.mkdir(parents=True, exist_ok=True)

    def create(self, name: str, content: bytes) -> bool:
        """Write a new file; False where there is one of that name: of several processes, one gets True.

        Object storage that knows no conditional writes may let several get True.
        """
        with self._writing(name):
            try:
                with (self._folder / name).open("xb") as file:
                    file.write(content)
            except FileExistsError:
                return False
        return True

    def write(self, name: str, content: bytes) -> None:
        """Write a file, or replace it as a whole."""
        partial = self._folder / temporary_name(f".{name}")
        with self._writing(name):
            partial.write_bytes(content)
            partial.replace(self._folder / name)

    def read(self, name: str) -> bytes | None:
        """What a file holds; None where there is none. One that is being created may be empty."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Of all files, sorted."""
        try:
            with os.scandir(self._folder) as entries:
                return sorted(entry.name for entry in entries if not entry.name.startswith("."))
        except FileNotFoundError:
            return []

    def remove(self, *names: str) -> None:
        """Remove files; those that have gone are no error."""
        for name in names:
            with self._writing(name):
                (self._folder / name).unlink(missing_ok=True)

    def remove_all(self) -> None:
        """Remove the folder, and the one that it is in if that is empty."""
        remove(self._folder)
        self.remove_empty()

    def remove_empty(self) -> None:
        """Remove the folder if it is empty, and the one that it is in likewise."""
        with suppress(OSError):
            if self._folder.is_dir():
                self._folder.rmdir()
            self._folder.parent.rmdir()

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WriteFailed(
                f"{self._folder / name}: {os.strerror(error.errno or errno.EIO)}. Committed videos are safe;"
                " the others are extracted when the command is run again."
            ) from error


class _RemoteFiles(SharedFiles):
    def __init__(self, remote: Remote, path: str) -> None:
        super().__init__(Path(path))
        self._remote = remote
        self.location = f"{remote.url}/{path}"

    def make(self) -> None:
        pass  # object storage has no folders

    def create(self, name: str, content: bytes) -> bool:
        return self._remote.create(self._at(name), content)

    def write(self, name: str, content: bytes) -> None:
        self._remote.write(self._at(name), content)

    def read(self, name: str) -> bytes | None:
        return self._remote.read([self._at(name)]).get(self._at(name))

    def names(self) -> list[str]:
        return [entry.name for entry in self._remote.list(self._folder.as_posix())]

    def remove(self, *names: str) -> None:
        if names:
            self._remote.remove([self._at(name) for name in names])

    def remove_all(self) -> None:
        self.remove(*self.names())

    def remove_empty(self) -> None:
        pass

    def _at(self, name: str) -> str:
        return f"{self._folder.as_posix()}/{name}"
