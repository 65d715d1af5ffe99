"""A feature set: what one encoder gave for the videos of one dataset, read by position."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.backends.registry import backend, read_items
from store.errors import DamagedPart, FeaturesNotFound, InvalidRange, UnknownStream
from store.files import Files
from store.files.litter import FOREIGN_HOURS, remove_litter
from store.format.dtypes import array_dtype
from store.format.fingerprint import (
    DESCRIPTION,
    canonical_json,
    content_hash,
    description,
    fingerprint,
    subset_hash,
)
from store.format.layout import Place, next_place
from store.format.marker import SCALE, Marker, StreamRows, StreamShape
from store.ids import storable_id
from store.index import Index, Metas, any_streams, describe
from store.quarantine import Quarantine
from store.write.checks import checksum, mismatch
from store.write.quantised import given_shapes, restored
from store.write.writer import PART_BYTES, PartWriter, Provenance


class FeatureSet:
    """The features that one encoder, specified in full, gave for the videos of one dataset.

    Holds the index as it was when first used (see `refresh`) and no open files: it may be pickled,
    forked and read by several threads.
    """

    def __init__(
        self,
        files: Files,
        dataset: str,
        encoder: str,
        specification: Mapping[str, Any],
        backend: str = "zarr",
        made: bool = False,
    ) -> None:
        self.files = files
        self.dataset = dataset
        self.encoder = encoder
        self.specification: dict[str, Any] = json.loads(canonical_json(dict(specification)))
        self.key = fingerprint(specification)
        self._backend = backend
        self._made = made
        self.metas = Metas(files)

    def __repr__(self) -> str:
        return f"FeatureSet({self.name!r})"

    @property
    def name(self) -> str:
        """dataset/encoder@key."""
        return f"{self.dataset}/{self.encoder}@{self.key}"

    @property
    def location(self) -> str:
        """Where it is, for people: a folder or a URL."""
        return self.files.location

    @property
    def path(self) -> Path:
        """Its folder. Raises OnlyInFolders where it is in object storage."""
        return self.files.path

    @property
    def streams(self) -> dict[str, StreamShape]:
        """Stream → shape and dtype of one item, as `read` gives it; empty before the first commit."""
        return given_shapes(self.index.streams)

    @property
    def quantised(self) -> bool:
        """Whether float16 features are stored as int8; see store.write.quantised."""
        return self.specification.get("dtype") == "int8"

    @property
    def size_bytes(self) -> int:
        """Bytes of all videos' features that can be read."""
        shapes = self.index.streams
        return sum(
            marker.streams[stream].lengths[row] * shape.item_bytes
            for marker, rows in self.index.places()
            for stream, shape in shapes.items()
            for row in rows
        )

    @property
    def committed(self) -> datetime | None:
        """When the last part was committed."""
        return max((marker.committed for marker in self.index.markers.values()), default=None)

    @property
    def provenance(self) -> list[dict[str, Any]]:
        """What the parts were made with: each such mapping once, in the order of the parts."""
        found: list[dict[str, Any]] = []
        for marker, rows in self.index.places():
            if rows and marker.provenance and marker.provenance not in found:
                found.append(marker.provenance)
        return found

    @cached_property
    def quarantine(self) -> Quarantine:
        """Videos that gave no features, and why."""
        return Quarantine(self.files, self.create)

    def videos(self) -> list[str]:
        """Ids of all committed videos, sorted."""
        return sorted(self.index.rows)

    def __contains__(self, video: object) -> bool:
        return isinstance(video, str) and (video in self.index.rows or storable_id(video) in self.index.rows)

    def __len__(self) -> int:
        return len(self.index.rows)

    def length(self, video: str, stream: str | None = None) -> int:
        """Items (chunks, frames) of a video. Raises UnknownStream where streams differ and none is named."""
        marker, row = self._row(video)
        if stream is not None:
            return self._rows(marker, stream).lengths[row]
        lengths = {name: marker.streams[name].lengths[row] for name in self.streams}
        if len(set(lengths.values())) > 1:
            raise UnknownStream(f"the streams of {video!r} differ in length: name one of {lengths}")
        return next(iter(lengths.values()))

    def meta(self, video: str) -> dict[str, Any]:
        """What was noted about the video when its features were made."""
        marker, row = self._row(video)
        return dict(self.metas.of(marker)[row])

    def read(
        self,
        video: str,
        stream: str,
        start: int = 0,
        stop: int | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Items `start` to `stop` (not included) of a video: [stop - start, *stream shape].

        `out`: a C-contiguous array of that shape and the stream's dtype to read into, such as a view of a
        shared-memory tensor. Raises VideoNotStored, UnknownStream, InvalidRange, DamagedPart.
        """
        if stream + SCALE not in self.index.streams:
            return self.read_stored(video, stream, start, stop, out)
        values = self.read_stored(video, stream, start, stop)
        scales = self.read_stored(video, stream + SCALE, start, stop)
        return restored(values, scales, _target(video, out, values.shape, "float16"))

    def read_verified(self, video: str, stream: str, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """As `read`, the whole video, after comparing what was read with its checksum.

        Raises DamagedPart too where that differs.
        """
        if stream + SCALE not in self.index.streams:
            return self._checked(video, stream, out)
        values, scales = self._checked(video, stream), self._checked(video, stream + SCALE)
        return restored(values, scales, _target(video, out, values.shape, "float16"))

    def read_stored(
        self,
        video: str,
        stream: str,
        start: int = 0,
        stop: int | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """As `read`, but as the part holds it: int8 values of a quantised stream, float32 scales."""
        marker, row = self._row(video)
        rows = self._rows(marker, stream)
        length = rows.lengths[row]
        stop = length if stop is None else stop
        if not 0 <= start <= stop <= length:
            raise InvalidRange(f"{video!r} has {length} items of {stream!r}: cannot read {start} to {stop}")
        out = _target(video, out, (stop - start, *rows.shape), rows.dtype)
        if stop > start:
            read_items(self.files.fill, self.location, marker, stream, rows.offsets[row] + start, out)
        return out

    def checksum(self, video: str, stream: str) -> int:
        """crc32c of the video's bytes, as written: those of `read_stored`."""
        marker, row = self._row(video)
        return self._rows(marker, stream).crc32c[row]

    def part_of(self, video: str) -> str:
        """Name of the part that holds a video."""
        return self._row(video)[0].part

    def writer(
        self,
        part_bytes: int = PART_BYTES,
        chunk_bytes: int | None = None,
        provenance: Provenance | None = None,
    ) -> PartWriter:
        """A context manager that adds videos; see PartWriter.

        `chunk_bytes`: size of the files within a part (where they are compressed, of the chunks); chosen from
        the size of an item where not given. `provenance`: what the features are made with, such as versions
        of libraries; kept once a part.
        """
        return PartWriter(self, backend(self._backend), part_bytes, chunk_bytes, provenance)

    def subset_hash(self, videos: Iterable[str] | None = None) -> str:
        """12 hexadecimal digits of the ids of these videos (all, where not given). Raises VideoNotStored."""
        if videos is None:
            return subset_hash(self.index.rows)
        return subset_hash([video for video in videos if self._row(video)])

    def content_hash(self, videos: Iterable[str] | None = None) -> str:
        """12 hexadecimal digits of ids and features, by their checksums. Raises VideoNotStored.

        Of these videos, or of all. Equal where the features are, whenever and in whatever parts they were
        written.
        """
        chosen = self.index.rows if videos is None else set(videos)
        return content_hash((v, {s: self.checksum(v, s) for s in self.index.streams}) for v in chosen)

    def clean(self, foreign_hours: float = FOREIGN_HOURS) -> list[str]:
        """Remove what stopped writers left behind; other writers may be at work. Returns the names."""
        return remove_litter(self.files, foreign_hours)

    def refresh(self) -> None:
        """Take up what other writers committed since the index was read."""
        self.index.refresh(self.files)

    @cached_property
    def index(self) -> Index:
        """Which part holds each video. Raises NewerFormat."""
        index = Index()
        index.refresh(self.files)
        return index

    def create(self) -> None:
        """Make the folder and write the specification durably, unless that has been done.

        Raises FeaturesNotFound where it had been done, and StoreMissing.
        """
        made = self._made  # asked first: another thread may be making it
        if not self.files.exists(DESCRIPTION):
            if made:
                raise FeaturesNotFound(f"{self.location}/{DESCRIPTION} has gone: is its disk still mounted?")
            self.files.make()
            self.files.write(DESCRIPTION, description(self.specification))
        self._made = True

    def read_note(self, name: str) -> bytes | None:
        """Content of a small file beside the parts; None where there is none."""
        return self.files.read(name)

    def write_note(self, name: str, content: bytes) -> None:
        """Write a small file beside the parts, durably."""
        self.create()
        self.files.write(name, content)

    def given_streams(self) -> dict[str, StreamShape]:
        """For writers: `streams`, from one marker where there is no index yet."""
        streams = {} if "index" in vars(self) else any_streams(self.files)
        return given_shapes(streams) if streams else self.streams

    def next_place(self) -> Place:
        """For writers: where a part that is committed now goes, after all that are there."""
        return next_place(self.files.names, lambda: self.index.latest[0])

    def take_up(self, marker: Marker) -> None:
        """For writers: index a part that has just been committed."""
        if "index" in vars(self):
            self.index.add(marker)

    def _row(self, video: str) -> tuple[Marker, int]:
        known = video in self.index.rows
        return self.index.row(video if known else storable_id(video), self.location)

    def _checked(self, video: str, stream: str, out: NDArray[Any] | None = None) -> NDArray[Any]:
        stored = self.read_stored(video, stream, out=out)
        found, expected = checksum(stored), self.checksum(video, stream)
        if found != expected:
            reason = mismatch(self.location, self.part_of(video), found, expected)
            raise DamagedPart(
                f"{video!r}, stream {stream!r}: {reason}. Run `python -m store repair {self.name}`,"
                " then extract the video again"
            )
        return stored

    def _rows(self, marker: Marker, stream: str) -> StreamRows:
        try:
            return marker.streams[stream]
        except KeyError:
            raise UnknownStream(
                f"{self.location} has no stream {stream!r}; it has {describe(marker.streams)}"
            ) from None


def _target(video: str, out: NDArray[Any] | None, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """`out`, or a new array where it is not given. Raises InvalidRange where it does not fit."""
    if out is None:
        return np.empty(shape, array_dtype(dtype))
    if out.shape != shape or out.dtype != array_dtype(dtype) or not out.flags.c_contiguous:
        raise InvalidRange(
            f"cannot read {video!r} into {list(out.shape)} {out.dtype.name}:"
            f" expected a C-contiguous array {list(shape)} {dtype}"
        )
    return out
