"""A feature set: what one encoder gave for the videos of one dataset, read by position."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from store.backends.base import Backend, Fault
from store.backends.registry import backend
from store.backends.spans import Span
from store.durable.commit import make_folders, write_file
from store.durable.litter import remove_litter
from store.errors import DamagedPart, InvalidRange, UnknownStream
from store.format.description import DESCRIPTION, write_specification
from store.format.fingerprint import canonical_json, fingerprint, subset_hash
from store.format.marker import SCALE, Marker, StreamRows, StreamShape
from store.quarantine import Quarantine
from store.read.index import Index, describe
from store.read.items import read_items, target
from store.read.positional import read_spans
from store.write.checks import checksum, mismatch
from store.write.open_part import OpenPart
from store.write.quantised import given_shapes, restored
from store.write.writer import PART_BYTES, PartWriter


class FeatureSet:
    """The features that one encoder, specified in full, gave for the videos of one dataset.

    Holds the index as it was when first used (see `refresh`) and no open files: it may be pickled,
    forked and read by several threads.
    """

    def __init__(
        self, path: Path, dataset: str, encoder: str, specification: Mapping[str, Any], backend: str = "zarr"
    ) -> None:
        self.path = path
        self.dataset = dataset
        self.encoder = encoder
        self.specification: dict[str, Any] = json.loads(canonical_json(dict(specification)))
        self.key = fingerprint(specification)
        self._backend = backend

    def __repr__(self) -> str:
        return f"FeatureSet({self.name!r})"

    @property
    def name(self) -> str:
        """dataset/encoder@key."""
        return f"{self.dataset}/{self.encoder}@{self.key}"

    @property
    def location(self) -> str:
        """Where it is, for people: a folder or a URL."""
        return str(self.path)

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
            for marker, row in self.index.rows.values()
            for stream, shape in shapes.items()
        )

    @property
    def committed(self) -> datetime | None:
        """When the last part was committed."""
        return max((marker.committed for marker in self.index.markers.values()), default=None)

    @property
    def quarantine(self) -> Quarantine:
        """Videos that gave no features, and why."""
        return Quarantine(self.path / "quarantine.jsonl", self.create)

    def videos(self) -> list[str]:
        """Ids of all committed videos, sorted."""
        return sorted(self.index.rows)

    def __contains__(self, video: object) -> bool:
        return video in self.index.rows

    def __len__(self) -> int:
        return len(self.index.rows)

    def length(self, video: str, stream: str | None = None) -> int:
        """Items (chunks, frames) of a video. Raises UnknownStream where streams differ and none is named."""
        marker, row = self.index.row(video, self.location)
        if stream is not None:
            return self._rows(marker, stream).lengths[row]
        lengths = {name: marker.streams[name].lengths[row] for name in self.streams}
        if len(set(lengths.values())) > 1:
            raise UnknownStream(f"the streams of {video!r} differ in length: name one of {lengths}")
        return next(iter(lengths.values()))

    def meta(self, video: str) -> dict[str, Any]:
        """What was noted about the video when its features were made."""
        marker, row = self.index.row(video, self.location)
        return dict(marker.meta[row])

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
        return restored(values, scales, target(video, out, values.shape, "float16"))

    def read_verified(self, video: str, stream: str, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """As `read`, the whole video, after comparing what was read with its checksum.

        Raises DamagedPart too where that differs.
        """
        if stream + SCALE not in self.index.streams:
            return self._checked(video, stream, out)
        values, scales = self._checked(video, stream), self._checked(video, stream + SCALE)
        return restored(values, scales, target(video, out, values.shape, "float16"))

    def read_stored(
        self,
        video: str,
        stream: str,
        start: int = 0,
        stop: int | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """As `read`, but as the part holds it: int8 values of a quantised stream, float32 scales."""
        marker, row = self.index.row(video, self.location)
        rows = self._rows(marker, stream)
        length = rows.lengths[row]
        stop = length if stop is None else stop
        if not 0 <= start <= stop <= length:
            raise InvalidRange(f"{video!r} has {length} items of {stream!r}: cannot read {start} to {stop}")
        shape = (stop - start, *rows.shape)
        out = target(video, out, shape, rows.dtype)
        if stop > start:
            read_items(self.read_spans, self.location, marker, stream, rows.offsets[row] + start, out)
        return out

    def read_spans(self, part: str, spans: list[Span], out: NDArray[Any]) -> None:
        """Fill `out` with these bytes of a part; see store.read.positional."""
        read_spans(f"{self.path}/{part}", spans, out)

    def faults(self, marker: Marker) -> list[Fault]:
        """What tools other than this project would misread in a part."""
        return backend(marker.backend).check(self.path / marker.part, marker)

    def open_part(
        self, backend: Backend, streams: Mapping[str, StreamShape], chunk_bytes: int | None
    ) -> OpenPart:
        """For writers: begin a part."""
        return OpenPart(self.path, backend, streams, chunk_bytes)

    def checksum(self, video: str, stream: str) -> int:
        """crc32c of the video's bytes, as written: those of `read_stored`."""
        marker, row = self.index.row(video, self.location)
        return self._rows(marker, stream).crc32c[row]

    def part_of(self, video: str) -> str:
        """Name of the part that holds a video."""
        return self.index.row(video, self.location)[0].part

    def writer(self, part_bytes: int = PART_BYTES, chunk_bytes: int | None = None) -> PartWriter:
        """A context manager that adds videos; see PartWriter.

        `chunk_bytes`: size of the files within a part; chosen from the size of an item where not given.
        """
        return PartWriter(self, backend(self._backend), part_bytes, chunk_bytes)

    def subset_hash(self, videos: Iterable[str] | None = None) -> str:
        """12 hexadecimal digits of the ids of these videos (all, where not given). Raises VideoNotStored."""
        if videos is None:
            return subset_hash(self.index.rows)
        return subset_hash([video for video in videos if self.index.row(video, self.location)])

    def clean(self) -> list[str]:
        """Remove what stopped writers left behind; other writers may be at work. Returns the names."""
        return remove_litter(self.path)

    def refresh(self) -> None:
        """Take up what other writers committed since the index was read."""
        self.index.refresh(self.path)

    @cached_property
    def index(self) -> Index:
        """Which part holds each video. Raises NewerFormat."""
        index = Index()
        index.refresh(self.path)
        return index

    def create(self) -> None:
        """Make the folder and write the specification durably, unless that has been done."""
        if not (self.path / DESCRIPTION).is_file():
            make_folders(self.path)
            write_specification(self.path / DESCRIPTION, self.specification)

    def next_sequence(self, now: int) -> int:
        """For writers: the sequence of a part that is committed now."""
        return self.index.next_sequence(now)

    def take_up(self, marker: Marker) -> None:
        """For writers: index a part that has just been committed."""
        self.index.add(marker)

    def read_note(self, name: str) -> bytes | None:
        """Content of a small file beside the parts; None where there is none."""
        file = self.path / name
        return file.read_bytes() if file.is_file() else None

    def write_note(self, name: str, content: bytes) -> None:
        """Write a small file beside the parts, durably."""
        self.create()
        write_file(self.path / name, content)

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
