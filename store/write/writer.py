"""Writes features into a feature set, part by part; what is committed stays, whatever happens next."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from store.backends.base import Backend
from store.durable.litter import FOREIGN_HOURS
from store.errors import DuplicateVideo, StoreError, WriteFailed
from store.files import Files
from store.format.layout import Place
from store.format.marker import Marker, StreamShape
from store.format.names import check_video_id
from store.write.checks import Features, checked_meta, checked_streams
from store.write.open_part import OpenPart, Provenance
from store.write.quantised import ERROR, QuantisedVideo, stored_shapes

PART_BYTES = 1 << 30
"""A part is committed, and the next begun, when it holds this many bytes."""
PART_VIDEOS = 4096
"""…or this many videos: a marker is read whole."""


class Destination(Protocol):
    """What a writer needs of the feature set that it writes into."""

    files: Files

    @property
    def quantised(self) -> bool:
        """Whether float16 is stored as int8."""
        ...

    def given_streams(self) -> dict[str, StreamShape]:
        """Those that its videos have, without an index of them; empty before the first."""
        ...

    def create(self) -> None:
        """Make the folder and its description, unless they are there."""
        ...

    def next_place(self) -> Place:
        """Where a part that is committed now goes."""
        ...

    def take_up(self, marker: Marker) -> None:
        """Learn of a part that has just been committed."""
        ...


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
        except OSError as error:
            self.discard()
            raise _write_failed(self._features.files.location, video, error) from error
        except BaseException:
            self.discard()
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
        except OSError as error:
            last = self._part.marker.videos[-1]
            self.discard()
            raise _write_failed(self._features.files.location, last, error) from error
        except BaseException:
            self.discard()
            raise
        self._part = None
        self._features.take_up(marker)

    def discard(self) -> None:
        """Drop what has been added since the last commit; those videos may be added again."""
        part, self._part = self._part, None
        if part is not None:
            self._added.difference_update(part.marker.videos)
            part.discard()

    def __enter__(self) -> Self:
        self._features.files.clean(FOREIGN_HOURS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()
        else:
            self.discard()


def _write_failed(folder: str, video: str, error: OSError) -> StoreError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return WriteFailed(
        f"{folder}: writing stopped at {video!r}: {reason}. Committed videos are safe;"
        " the others are extracted when the command is run again."
    )
