"""A part while it is being written, and the order of steps that commits it."""

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from store.backends.base import Backend
from store.durable.commit import remove
from store.durable.owner import temporary_name
from store.files import Files
from store.format.layout import Place
from store.format.marker import Marker, StreamRows, StreamShape
from store.write.checks import checksum

Provenance = Mapping[str, str | int | float | bool | None]
"""What a part is made with: name → version, device, …"""


class OpenPart:
    """A part under a temporary name, with its marker in memory."""

    def __init__(
        self,
        files: Files,
        backend: Backend,
        streams: Mapping[str, StreamShape],
        chunk_bytes: int | None,
        provenance: Provenance | None = None,
    ) -> None:
        self._files = files
        self._unique = uuid.uuid4().hex
        self._temporary = files.workplace() / temporary_name("part", self._unique)
        rows = {name: StreamRows(stream.shape, stream.dtype) for name, stream in streams.items()}
        self.marker = Marker(backend.suffix, backend.name, 0, [], rows, [], dict(provenance or {}))
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
        self.marker.meta.append(meta)

    def commit(self, look: Callable[[], Place]) -> Marker:
        """Part first, marker last; `look` says where, and as what in the order of parts."""
        for name, layout in self._body.finish().items():
            self.marker.streams[name].chunk_items = layout.chunk_items
            self.marker.streams[name].chunk_offsets = list(layout.chunk_offsets)
        self._files.publish(self._temporary, self._unique, self.marker, look)
        # From its file, whenever somebody asks for it.
        self.marker.meta = []
        return self.marker

    def discard(self) -> None:
        """Remove what has been written, unless it is committed."""
        self._body.discard()
        remove(self._temporary)
