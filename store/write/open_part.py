"""A part while it is being written, and the order of steps that commits it."""

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from store.backends.base import Backend
from store.durable.commit import publish_file, publish_folder, remove, write_synced
from store.durable.owner import temporary_name
from store.format.marker import Marker, StreamRows, StreamShape, marker_bytes
from store.write.checks import checksum


class OpenPart:
    """A part under a temporary name, with its marker in memory."""

    def __init__(
        self, folder: Path, backend: Backend, streams: Mapping[str, StreamShape], chunk_bytes: int | None
    ) -> None:
        unique = uuid.uuid4().hex
        self._temporary = folder / temporary_name("part", unique)
        self._temporary_marker = self._temporary.with_name(self._temporary.name + ".json")
        self._final = folder / f"part-{unique}{backend.suffix}"
        self._final_marker = folder / f"part-{unique}.json"
        rows = {name: StreamRows(stream.shape, stream.dtype) for name, stream in streams.items()}
        self._meta: list[dict[str, Any]] = []
        self.marker = Marker(self._final.name, backend.name, 0, [], rows, self._meta)
        self._body = backend.create(self._temporary, streams, chunk_bytes)
        self.size_bytes = 0

    def add(self, video: str, streams: Mapping[str, Iterable[NDArray[Any]]], meta: dict[str, Any]) -> None:
        """Append a video's blocks, checked already, to their streams.

        An error on the way leaves items that belong to no video: the part is then to be discarded.
        """
        for name, blocks in streams.items():
            rows = self.marker.streams[name]
            first, length, crc32c = rows.total, 0, 0
            for block in blocks:
                self._body.append(name, block)
                length += len(block)
                crc32c = checksum(block, crc32c)
                self.size_bytes += block.nbytes
            rows.offsets.append(first)
            rows.lengths.append(length)
            rows.crc32c.append(crc32c)
        self.marker.videos.append(video)
        self._meta.append(meta)

    def commit(self, sequence: int) -> Marker:
        """Part first, marker last."""
        for name, layout in self._body.finish().items():
            self.marker.streams[name].chunk_items = layout.chunk_items
            self.marker.streams[name].chunk_offsets = list(layout.chunk_offsets)
        self.marker.sequence = sequence
        self.publish()
        return self.marker

    def publish(self) -> None:
        """Make the complete part visible, and then its marker, each synced before it gets its name.

        The marker's temporary file stands before the part has its final name: it tells `store.durable.litter`
        that the part has an owner.
        """
        write_synced(self._temporary_marker, marker_bytes(self.marker))
        publish_folder(self._temporary, self._final)
        publish_file(self._temporary_marker, self._final_marker)

    def discard(self) -> None:
        """Remove what has been written, unless it is committed."""
        self._body.discard()
        if self._final_marker.exists():
            return
        for path in (self._temporary, self._final, self._temporary_marker):
            remove(path)
