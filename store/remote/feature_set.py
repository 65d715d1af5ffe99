"""A feature set in object storage, by the same rule as on disk: a part's objects first, its marker last."""

import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from numpy.typing import NDArray

from store.backends.base import Backend, Fault
from store.backends.registry import backend
from store.backends.spans import Span
from store.durable.litter import FOREIGN_HOURS, remove_litter
from store.durable.owner import temporary_name
from store.errors import RemoteFailed
from store.feature_set import FeatureSet
from store.format.description import DESCRIPTION
from store.format.marker import Marker, StreamShape, marker_bytes
from store.quarantine import Quarantine
from store.read.index import Index
from store.remote.place import scratch
from store.remote.read import read_spans
from store.remote.storage import Entry, Remote
from store.write.open_part import OpenPart


class RemoteFeatureSet(FeatureSet):
    """Reads and writes as any other; its `path` is that of its mirror. Everything may raise RemoteFailed."""

    def __init__(
        self, remote: Remote, dataset: str, encoder: str, specification: Mapping[str, Any], backend: str
    ) -> None:
        super().__init__(remote.mirror, dataset, encoder, specification, backend)
        self._remote = remote
        self.path = remote.mirror / self.name

    @property
    def location(self) -> str:
        """See FeatureSet.location."""
        return f"{self._remote.url}/{self.name}"

    @property
    def quarantine(self) -> Quarantine:
        """See FeatureSet.quarantine."""
        return RemoteQuarantine(self.path / "quarantine.jsonl", self.create, self._remote, self.name)

    @cached_property
    def index(self) -> Index:
        """Which part holds each video. Raises NewerFormat."""
        index = Index()
        self._take_in(index)
        return index

    def refresh(self) -> None:
        """See FeatureSet.refresh."""
        self._take_in(self.index)

    def _take_in(self, index: Index) -> None:
        self._remote.pull(self.name)
        index.refresh(self.path)
        faults = index.damaged.items()
        index.damaged = {name: text.replace(str(self.path), self.location) for name, text in faults}

    def create(self) -> None:
        """Write the specification, unless that has been done."""
        self._remote.pull(self.name)
        file = self.path / DESCRIPTION
        if file.is_file():
            return
        super().create()
        try:
            self._remote.write(f"{self.name}/{DESCRIPTION}", file.read_bytes())
        except BaseException:
            file.unlink(missing_ok=True)
            raise

    def clean(self, foreign_hours: float = FOREIGN_HOURS) -> list[str]:
        """Remove parts whose marker has not come for so long, as nobody can ask their writers.

        Returns their names.
        """
        remove_litter(scratch())
        entries = self._remote.list(self.name)
        names = {entry.name for entry in entries}
        return [
            entry.name
            for entry in entries
            if _is_part(entry) and _marker_name(entry) not in names and self._remove(entry, foreign_hours)
        ]

    def open_part(
        self, backend: Backend, streams: Mapping[str, StreamShape], chunk_bytes: int | None
    ) -> OpenPart:
        """See FeatureSet.open_part."""
        return RemotePart(self._remote, self.name, backend, streams, chunk_bytes)

    def read_spans(self, part: str, spans: list[Span], out: NDArray[Any]) -> None:
        """See FeatureSet.read_spans."""
        read_spans(self._remote, f"{self.name}/{part}", spans, out)

    def faults(self, marker: Marker) -> list[Fault]:
        """See FeatureSet.faults. A part that is a single file is fetched whole for it."""
        part = f"{self.name}/{marker.part}"
        with TemporaryDirectory(prefix=temporary_name("checked"), dir=scratch()) as folder:
            for path in self._remote.tree(part):
                if path == part or path.endswith("/zarr.json"):
                    self._remote.download(path, Path(folder) / path.removeprefix(f"{self.name}/"))
            found = backend(marker.backend).check(Path(folder, marker.part), marker)
            return [Fault(f.stream, f.reason.replace(folder, self.location)) for f in found]

    def read_note(self, name: str) -> bytes | None:
        """See FeatureSet.read_note."""
        path = f"{self.name}/{name}"
        return self._remote.read([path]).get(path)

    def write_note(self, name: str, content: bytes) -> None:
        """See FeatureSet.write_note."""
        self.create()
        self._remote.write(f"{self.name}/{name}", content)

    def _remove(self, part: Entry, foreign_hours: float) -> bool:
        """Remove an uncommitted part, unless a writer may be at it still."""
        objects = list(self._remote.tree(f"{self.name}/{part.name}"))
        latest = datetime.now(UTC) - timedelta(hours=foreign_hours)
        try:
            abandoned = all(self._remote.modified(path) < latest for path in objects)
        except RemoteFailed as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return False
            raise
        # Asked last, as the marker may have come after the objects were listed.
        if not objects or not abandoned or self._remote.exists(f"{self.name}/{_marker_name(part)}"):
            return False
        self._remote.remove(objects)
        return True

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In another process, the mirror is another one."""
        self.__dict__.update(state)
        self.path = self._remote.mirror / self.name


class RemotePart(OpenPart):
    """A part that is made in a local folder and then sent."""

    def __init__(
        self,
        remote: Remote,
        folder: str,
        backend: Backend,
        streams: Mapping[str, StreamShape],
        chunk_bytes: int | None,
    ) -> None:
        super().__init__(scratch(), backend, streams, chunk_bytes)
        self._remote = remote
        self._folder = folder

    def publish(self) -> None:
        """Send the part's objects, see that they have arrived, and then send the marker.

        Where that fails, what was sent stays until it is old enough to be removed: the marker may have
        arrived even though the answer did not.
        """
        self._remote.upload(self._temporary, f"{self._folder}/{self._final.name}")
        self._remote.write(f"{self._folder}/{self._final_marker.name}", marker_bytes(self.marker))
        self.discard()


class RemoteQuarantine(Quarantine):
    """Objects cannot be appended to: every append is one of its own, quarantine-TIME-UNIQUE.jsonl."""

    def __init__(self, file: Path, create_folder: Callable[[], None], remote: Remote, folder: str) -> None:
        super().__init__(file, create_folder)
        self._remote = remote
        self._folder = folder

    def _files(self) -> list[Path]:
        self._remote.pull(self._folder)
        return super()._files()

    def _write(self, text: str) -> None:
        name = f"quarantine-{time.time_ns():020}-{uuid.uuid4().hex}.jsonl"
        self._remote.write(f"{self._folder}/{name}", text.encode("utf-8"))


def _is_part(entry: Entry) -> bool:
    return entry.name.startswith("part-") and not entry.name.endswith(".json")


def _marker_name(part: Entry) -> str:
    return f"{Path(part.name).stem}.json"
