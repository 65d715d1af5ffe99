"""A feature set's files in object storage; as on disk, a part's objects come first and its marker last."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from store.durable.commit import remove
from store.durable.owner import temporary_name
from store.errors import OnlyInFolders
from store.format.fingerprint import STORE, store_description
from store.format.layout import Place
from store.format.marker import Marker, marker_bytes
from store.remote.place import scratch
from store.remote.storage import Remote

log = logging.getLogger(__name__)


class Bucket(Remote):
    """What store.files.folder.Folder does, in object storage. Everything may raise RemoteFailed."""

    def __init__(self, root: Path | str, folder: str) -> None:
        """`root`: URL of the store that the folder is in."""
        self._store = Remote(root)
        super().__init__(f"{self._store.url}/{folder}")

    @property
    def location(self) -> str:
        """See Folder."""
        return self.url

    @property
    def path(self) -> Path:
        """Raises OnlyInFolders."""
        raise OnlyInFolders(
            f"{self.url} is in object storage, where parts are not changed once they are written:"
            " copy it to a folder and do it there"
        )

    def make(self) -> None:
        """See Folder: there are no folders but what says that a store was made."""
        if not self._store.exists(STORE):
            self._store.write(STORE, store_description())
            log.info("new store made at %s", self._store.url)

    def stamps(self) -> dict[str, int]:
        """See Folder: nothing is known without a listing."""
        return dict.fromkeys(self.names(), 0)

    def append(self, name: str, data: bytes) -> None:
        """See Folder."""
        self.write(f"{name}-{uuid4().hex}.jsonl", data)

    def remove_all(self, path: str = "") -> None:
        """See Folder."""
        self.remove(*self.tree(path))

    def remove_empty(self) -> None:
        """See Folder: there are no folders."""

    def size_bytes(self, path: str) -> int:
        """See Folder."""
        return sum(self.tree(path).values())

    def workplace(self) -> Path:
        """See Folder."""
        return scratch()

    def publish(self, built: Path, unique: str, marker: Marker, look: Callable[[], Place]) -> None:
        """See Folder. Sends the part's objects, sees that they have arrived, and then sends the marker.

        Where that fails, what was sent stays until it is old enough to be removed: the marker may have
        arrived even though the answer did not.
        """
        marker.put(look(), unique)
        self.upload(built, marker.part)
        # Again, as others may have committed while it was sent.
        marker.sequence = max(marker.sequence, look().sequence)
        self.write(marker.file, marker_bytes(marker))
        remove(built)

    @contextmanager
    def descriptions(self, marker: Marker) -> Iterator[Path]:
        """See Folder. A part that is a single file is fetched whole for it."""
        with TemporaryDirectory(prefix=temporary_name("checked"), dir=scratch()) as folder:
            for path in self.tree(marker.part):
                if path == marker.part or path.endswith("/zarr.json"):
                    self.download(path, Path(folder) / path)
            yield Path(folder)
