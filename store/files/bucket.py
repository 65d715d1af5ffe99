"""A feature set's files in object storage; as on disk, a part's objects come first and its marker last."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from numpy.typing import NDArray

from store.backends.spans import Span
from store.durable.commit import remove
from store.durable.litter import remove_litter
from store.durable.owner import temporary_name
from store.errors import OnlyInFolders, RemoteFailed
from store.format.description import STORE, store_description
from store.format.layout import Place, parts_folders
from store.format.marker import Marker, marker_bytes
from store.remote.place import scratch
from store.remote.read import read_spans
from store.remote.storage import Remote

log = logging.getLogger(__name__)

_NEWEST = 2
_BATCH = 256


@dataclass(frozen=True)
class Bucket:
    """A feature set in object storage; see store.files.folder.Folder. Everything may raise RemoteFailed."""

    remote: Remote
    folder: str
    """Of the feature set, below the store."""

    @property
    def location(self) -> str:
        """See Folder."""
        return f"{self.remote.url}/{self.folder}"

    @property
    def path(self) -> Path:
        """Raises OnlyInFolders."""
        raise OnlyInFolders(
            f"{self.location} is in object storage, where parts are not changed once they are written:"
            " copy it to a folder and do it there"
        )

    def make(self) -> None:
        """See Folder: there are no folders but what says that a store was made."""
        if not self.remote.exists(STORE):
            self.remote.write(STORE, store_description())
            log.info("new store made at %s", self.remote.url)

    def names(self, folder: str = "") -> list[str]:
        """See Folder."""
        return [entry.name for entry in self.remote.list(self._at(folder))]

    def stamp(self, folder: str) -> int:  # noqa: ARG002
        """See Folder: nothing is known without a listing."""
        return 0

    def exists(self, path: str) -> bool:
        """See Folder."""
        return self.remote.exists(self._at(path))

    def read(self, path: str, start: int = 0) -> bytes:
        """See Folder. Objects never grow."""
        if start:
            return b""
        try:
            return self.remote.read([self._at(path)])[self._at(path)]
        except KeyError:
            raise FileNotFoundError(f"{self.location}/{path}") from None

    def read_all(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """See Folder."""
        for first in range(0, len(paths), _BATCH):
            batch = paths[first : first + _BATCH]
            found = self.remote.read([self._at(path) for path in batch])
            for path in batch:
                yield path, found.get(self._at(path), FileNotFoundError(path))

    def write(self, path: str, data: bytes) -> None:
        """See Folder."""
        self.remote.write(self._at(path), data)

    def append(self, name: str, data: bytes) -> None:
        """See Folder."""
        self.write(f"{name}-{uuid4().hex}.jsonl", data)

    def fill(self, part: str, spans: list[Span], out: NDArray[Any]) -> None:
        """See Folder."""
        read_spans(self.remote, self._at(part), spans, out)

    def workplace(self) -> Path:
        """See Folder."""
        return scratch()

    def publish(self, built: Path, unique: str, marker: Marker, look: Callable[[], Place]) -> None:
        """See Folder. Sends the part's objects, sees that they have arrived, and then sends the marker.

        Where that fails, what was sent stays until it is old enough to be removed: the marker may have
        arrived even though the answer did not.
        """
        marker.put(look(), unique)
        self.remote.upload(built, self._at(marker.part))
        # Again, as others may have committed while it was sent.
        marker.sequence = max(marker.sequence, look().sequence)
        self.write(marker.file, marker_bytes(marker))
        remove(built)

    def clean(self, foreign_hours: float) -> list[str]:
        """See Folder: parts whose marker has not come for so long, as nobody can ask their writers.

        Of the folders of parts, the newest two are looked into.
        """
        remove_litter(scratch())
        root = self.names()
        removed = []
        for place in ["", *parts_folders(root)[-_NEWEST:]]:
            names = self.names(place) if place else root
            committed = {name.partition(".")[0] for name in names if name.endswith(".json")}
            for name in names:
                part = f"{place}/{name}" if place else name
                if name.startswith("part-") and name.partition(".")[0] not in committed:
                    removed += [part] if self._remove(part, foreign_hours) else []
        return removed

    @contextmanager
    def descriptions(self, marker: Marker) -> Iterator[Path]:
        """See Folder. A part that is a single file is fetched whole for it."""
        part = self._at(marker.part)
        with TemporaryDirectory(prefix=temporary_name("checked"), dir=scratch()) as folder:
            for path in self.remote.tree(part):
                if path == part or path.endswith("/zarr.json"):
                    self.remote.download(path, Path(folder) / path.removeprefix(f"{self.folder}/"))
            yield Path(folder)

    def _at(self, path: str) -> str:
        return f"{self.folder}/{path}" if path else self.folder

    def _remove(self, part: str, foreign_hours: float) -> bool:
        """Remove an uncommitted part, unless a writer may be at it still."""
        objects = list(self.remote.tree(self._at(part)))
        latest = datetime.now(UTC) - timedelta(hours=foreign_hours)
        try:
            abandoned = all(self.remote.modified(path) < latest for path in objects)
        except RemoteFailed as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return False
            raise
        place, _, name = part.rpartition("/")
        stem = name.partition(".")[0]
        if not objects or not abandoned:
            return False
        # Asked last, as the marker may have come after the objects were listed.
        if any(found.startswith(f"{stem}.") and found.endswith(".json") for found in self.names(place)):
            return False
        self.remote.remove(objects)
        return True
