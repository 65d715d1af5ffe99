"""Writes features into a feature set, part by part; what is committed stays, whatever happens next."""

import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol, Self

from numpy.typing import NDArray

from store.backends.base import Backend
from store.durable.commit import remove, sync_tree
from store.durable.owner import temporary_name
from store.errors import DuplicateVideo, write_failed
from store.files import Files
from store.files.litter import remove_litter
from store.format.layout import Place
from store.format.marker import Marker, StreamRows, StreamShape
from store.ids import check_video_id
from store.write.checks import Features, checked_meta, checked_streams, checksum
from store.write.quantised import ERROR, QuantisedVideo, stored_shapes

PART_BYTES = 1 << 30
"""A part is committed, and the next begun, when it holds this many bytes."""
PART_VIDEOS = 4096
"""…or this many videos: a marker is read whole."""
_SYNC_BYTES = 32 << 20
"""Written since the last time before it is worth syncing again."""

Provenance = Mapping[str, str | int | float | bool | None]
"""What a part is made with: name → version, device, …"""


class Destination(Protocol):
    """What a writer needs of the feature set that it writes into."""

    files: Files

    @property
    def quantised(self) -> bool:
        """Whether float16 is stored as int8."""

    def given_streams(self) -> dict[str, StreamShape]:
        """Those that its videos have, without an index of them; empty before the first."""

    def create(self) -> None:
        """Make the folder and its description, unless they are there."""

    def next_place(self) -> Place:
        """Where a part that is committed now goes."""

    def take_up(self, marker: Marker) -> None:
        """Learn of a part that has just been committed."""


class OpenPart:
    """A part under a temporary name, with its marker in memory.

    While it grows, a thread brings to the disk what is there, so that the commit finds little to wait for.
    """

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
        self._body = backend.create(self._temporary, rows, chunk_bytes)
        self._sync_pool = ThreadPoolExecutor(1, "sync-part")
        self._syncs: list[Future[None]] = []
        self._unsynced = 0
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
                self._sync_behind(block.nbytes)
            rows.offsets.append(first)
            rows.lengths.append(length)
            rows.crc32c.append(crc32c)
        self.marker.videos.append(video)
        self.marker.meta.append(meta)

    def commit(self, look: Callable[[], Place]) -> Marker:
        """Part first, marker last; `look` says where, and as what in the order of parts. Raises OSError."""
        self._sync_pool.shutdown()
        for sync in self._syncs:
            sync.result()  # the disk may have refused what it had taken
        # Only now: it renames files, which must not be in the midst of being synced.
        self._body.finish()
        self._files.publish(self._temporary, self._unique, self.marker, look)
        # From its file, whenever somebody asks for it.
        self.marker.meta = []
        return self.marker

    def discard(self) -> None:
        """Remove what has been written, unless it is committed."""
        self._sync_pool.shutdown(cancel_futures=True)
        self._body.discard()
        remove(self._temporary)

    def _sync_behind(self, written: int) -> None:
        self._unsynced += written
        if self._unsynced >= _SYNC_BYTES:
            self._unsynced = 0
            self._syncs.append(self._sync_pool.submit(sync_tree, self._temporary))


class PartWriter:
    """Adds videos to a feature set; used as a context manager, by one thread.

    Parts roll when they hold `part_bytes` or 4,096 videos, and the last one is committed at the end. An
    exception in the `with` block drops what was not committed. A video that is refused leaves the writer
    usable. Any number of writers, in any processes, may write to one feature set; what stopped ones left
    behind is removed when the next begins.
    """

    def __init__(
        self,
        features: Destination,
        backend: Backend,
        part_bytes: int = PART_BYTES,
        chunk_bytes: int | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        self._features = features
        self._backend = backend
        self._part_bytes = part_bytes
        self._chunk_bytes = chunk_bytes
        self._provenance = provenance
        self._part: OpenPart | None = None
        self._streams: dict[str, StreamShape] = features.given_streams()
        self._quantised = features.quantised
        self._added: set[str] = set()

    def add(self, video: str, streams: Mapping[str, Features], meta: Mapping[str, Any] | None = None) -> None:
        """Store a video's features: stream → array [n, *stream shape] (store.format.dtypes), n ≥ 1.

        A stream too long for memory may be given as blocks of it instead: an iterable, such as a list, of
        arrays [n_i, *stream shape]. It is read again: all of it is checked before anything is written.

        The first video decides on the streams, unless the feature set has some already. The id is stored as
        `store.ids.storable_id` gives it. `meta` is a small JSON object. A video that the feature set already
        has is superseded. Raises InvalidName, DuplicateVideo, InvalidFeatures, InvalidSpecification,
        WriteFailed.
        """
        video = check_video_id(video)
        if video in self._added:
            raise DuplicateVideo(f"{video!r} was added twice to {self._features.files.location}")
        checked = checked_streams(video, streams, self._streams)
        note = checked_meta(video, meta)
        quantised = QuantisedVideo(video, checked) if self._quantised else None
        shapes = self._streams or {name: stream.shape for name, stream in checked.items()}
        try:
            if self._part is None:
                self._features.create()
                streams_in_part = stored_shapes(shapes) if quantised else shapes
                self._part = OpenPart(
                    self._features.files,
                    self._backend,
                    streams_in_part,
                    self._chunk_bytes,
                    self._provenance,
                )
            self._part.add(video, quantised.streams() if quantised else checked, note)
            if quantised:
                note[ERROR] = quantised.errors
        except BaseException as error:
            self._drop_open_part(video, error)
            raise
        self._streams = shapes
        self._added.add(video)
        if self._part.size_bytes >= self._part_bytes or len(self._part.marker.videos) >= PART_VIDEOS:
            self.flush()

    def flush(self) -> None:
        """Commit what has been added so far. Raises WriteFailed."""
        if self._part is None:
            return
        try:
            marker = self._part.commit(self._features.next_place)
        except BaseException as error:
            self._drop_open_part(self._part.marker.videos[-1], error)
            raise
        self._part = None
        self._features.take_up(marker)

    def discard(self) -> None:
        """Drop what has been added since the last commit; those videos may be added again."""
        part, self._part = self._part, None
        if part is not None:
            self._added.difference_update(part.marker.videos)
            part.discard()

    def _drop_open_part(self, video: str, error: BaseException) -> None:
        self.discard()
        if isinstance(error, OSError):
            where = f"{self._features.files.location}: writing stopped at {video!r}"
            raise write_failed(where, error) from error

    def __enter__(self) -> Self:
        remove_litter(self._features.files)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()
        else:
            self.discard()
