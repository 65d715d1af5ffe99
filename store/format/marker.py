"""The commit marker of a part: the JSON file whose presence makes the part's videos exist."""

import json
import operator
import re
from array import array
from collections.abc import MutableSequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import prod
from typing import Any

import google_crc32c
from pydantic import TypeAdapter, ValidationError

from store.errors import DamagedMarker, InvalidSpecification
from store.format.dtypes import STORED, array_dtype
from store.format.fingerprint import canonical_json
from store.format.layout import FORMAT, PART, Place, marker_name, part_name, require_format
from store.ids import is_stream_name

SCALE = ".scale"
"""Ends the name of the stream that holds the steps of an int8 stream."""


@dataclass(frozen=True)
class StreamShape:
    """What one item (a chunk of a video, a frame) of a stream looks like."""

    shape: tuple[int, ...]
    dtype: str
    """float16, float32 or bfloat16; int8 where it is stored quantised."""

    @property
    def item_bytes(self) -> int:
        """Bytes of one item."""
        return prod(self.shape) * array_dtype(self.dtype).itemsize


@dataclass
class StreamRows:
    """Where each video's items lie in a stream of the part, in the order of the marker's videos."""

    shape: tuple[int, ...]
    dtype: str
    chunk_items: int = 0
    """Items in each of the part's chunks."""
    chunk_offsets: list[int] = field(default_factory=list)
    """Byte offset of each chunk in its file; empty where every chunk is a file."""
    chunk_sizes: list[int] = field(default_factory=list)
    """Bytes of each chunk, where they are compressed."""
    file_chunks: int = 0
    """Chunks in each file, where they are compressed."""
    offsets: MutableSequence[int] = field(default_factory=list)
    """Increasing; between two videos there may be items of one that a repair dropped."""
    lengths: MutableSequence[int] = field(default_factory=list)
    crc32c: MutableSequence[int] = field(default_factory=list)
    """Of each video's bytes, little-endian."""
    spare_items: int = 0
    """Items after the last video's, of videos that a repair dropped."""

    @property
    def total(self) -> int:
        """Items in the part, those of dropped videos included."""
        return (self.offsets[-1] + self.lengths[-1] if self.offsets else 0) + self.spare_items

    @property
    def stream_shape(self) -> StreamShape:
        """Shape and dtype of one item."""
        return StreamShape(self.shape, self.dtype)

    @property
    def item_bytes(self) -> int:
        """Bytes of one item."""
        return self.stream_shape.item_bytes


@dataclass
class Marker:
    """Everything that a reader knows about a part; or, with `dropped`, what is not to be read any more."""

    part: str
    """Path of the part's folder or file below its feature set; empty until it is known."""
    backend: str
    sequence: int
    """Among parts with the same video, the one with the highest sequence (then name) counts.

    See store.format.layout.next_place: nanoseconds since 1970, but always more than any part that was there.
    """
    videos: list[str]
    streams: dict[str, StreamRows]
    meta: list[dict[str, Any]] = field(default_factory=list)
    """What the extraction noted about each video; left out when a marker is parsed: see `read_meta`."""
    provenance: dict[str, str | int | float | bool | None] = field(default_factory=dict)
    """What the part was made with, such as versions of libraries and the device."""
    dropped: list[str] = field(default_factory=list)
    """Videos that earlier parts hold and that count as not stored. Such a marker has no part."""

    @property
    def file(self) -> str:
        """Path of the marker's own file."""
        return marker_name(self.part, self.sequence)

    @property
    def order(self) -> tuple[int, str]:
        """By which parts are ordered."""
        return self.sequence, self.part

    @property
    def committed(self) -> datetime:
        """When the part was committed, by its writer's clock."""
        return datetime.fromtimestamp(self.sequence / 1e9, UTC)

    def put(self, place: Place, unique: str) -> None:
        """Give the part its place; `part` is its suffix until then."""
        self.part = part_name(place, unique, self.part)
        self.sequence = place.sequence


_MARKERS = TypeAdapter(Marker)


def marker_bytes(marker: Marker) -> bytes:
    """The marker's file, with a checksum of its own."""
    streams = {name: _plain(rows) for name, rows in marker.streams.items()}
    content = vars(marker) | {"streams": streams}
    body = canonical_json({k: v for k, v in content.items() if v or k not in ("provenance", "dropped")})
    head = f'{{"format":{FORMAT},"crc32c":{google_crc32c.value(body.encode("ascii"))},'
    return (head + body[1:]).encode("ascii")


def parse_marker(path: str, data: bytes) -> Marker:
    """The marker in a file's bytes, without meta data; its lists are packed.

    Raises DamagedMarker or NewerFormat, naming the file.
    """
    try:
        marker: Marker = _MARKERS.validate_python(_content(path, data))
        meta, marker.meta = len(marker.meta), []
        fault = _inconsistency(marker, path)
        if meta not in (0, len(marker.videos)):
            fault = "videos are listed without their meta data"
        for rows in marker.streams.values():
            rows.offsets = array("q", rows.offsets)
            rows.lengths, rows.crc32c = array("I", rows.lengths), array("I", rows.crc32c)
    except (ValidationError, OverflowError) as error:
        raise DamagedMarker(f"{path}: {error}. {_ADVICE}") from None
    if fault:
        raise DamagedMarker(f"{path}: {fault}. {_ADVICE}")
    return marker


def unreadable(path: str, error: Exception) -> DamagedMarker:
    """The error to raise for a marker that cannot be read as JSON, or not at all."""
    advice = "It is tried again; check the disk." if isinstance(error, OSError) else _ADVICE
    return DamagedMarker(f"{path} is not a readable commit marker: {error!r}. {advice}")


def read_meta(path: str, data: bytes, count: int) -> list[dict[str, Any]]:
    """The meta data of the `count` videos in a marker's file. Raises DamagedMarker."""
    try:
        meta: list[dict[str, Any]] = json.loads(data)["meta"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise unreadable(path, error) from None
    if meta == []:
        return [{} for _ in range(count)]
    if not isinstance(meta, list) or len(meta) != count or not all(isinstance(note, dict) for note in meta):
        raise DamagedMarker(f"{path}: expected the meta data of {count} videos. {_ADVICE}")
    return meta


def _content(path: str, data: bytes) -> Any:
    """A marker's content; without its meta data, where these can be split off unread."""
    as_written = _as_written(data)
    if as_written is not None:
        return as_written
    try:
        content = json.loads(data)
        version, expected = content.pop("format"), content.pop("crc32c")
        require_format(path, version)
        found = google_crc32c.value(canonical_json(content).encode("ascii"))
    except (
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        RecursionError,
        InvalidSpecification,
    ) as error:
        raise unreadable(path, error) from None
    if expected != found:
        raise DamagedMarker(f"{path} was changed since it was written: its checksum differs. {_ADVICE}")
    return content


_HEAD = re.compile(rb'\{"format":%d,"crc32c":(\d+),' % FORMAT)


def _as_written(data: bytes) -> Any:
    """A marker's content, if the bytes are those that `marker_bytes` made, without its meta data.

    Their checksum then proves them without making canonical JSON of them again, and their order shows where
    the meta data are, most of the bytes, which few readers ask for.
    """
    head = _HEAD.match(data)
    if not head or google_crc32c.extend(google_crc32c.value(b"{"), data[head.end() :]) != int(head[1]):
        return None
    begin = data.find(b'"meta":[', head.end())
    # Quotes within a text are escaped, so that this can only be the end of the meta data, or within them.
    end = data.rfind(b'],"part":"')
    if begin < 0 or end < begin:
        return None
    return json.loads(b"{" + data[head.end() : begin] + b'"meta":[' + data[end:])


_ADVICE = "Restore it, or run `python -m store repair` and extract its videos again."


def _plain(rows: StreamRows) -> dict[str, Any]:
    lists = {"offsets": rows.offsets, "lengths": rows.lengths, "crc32c": rows.crc32c}
    return vars(rows) | {name: list(values) for name, values in lists.items()}


def _inconsistency(marker: Marker, path: str) -> str | None:
    count = len(marker.videos)
    if not PART.fullmatch(marker.part) or not f"/{path}".endswith(f"/{marker.file}"):
        return f"it describes {marker.part!r}"
    if len(set(marker.videos)) != count:
        return "videos are listed twice"
    for name, rows in marker.streams.items():
        if not is_stream_name(name.removesuffix(SCALE)) or min(rows.shape, default=1) < 1:
            return f"stream {name!r} has items of shape {list(rows.shape)}"
        if rows.dtype not in STORED or rows.chunk_items < 1:
            return f"stream {name!r} has dtype {rows.dtype!r} and chunks of {rows.chunk_items} items"
        if not len(rows.offsets) == len(rows.lengths) == len(rows.crc32c) == count:
            return f"stream {name!r} does not describe {count} videos"
        ends = map(operator.add, rows.offsets, rows.lengths)
        in_order = all(map(operator.le, [0, *ends], [*rows.offsets, rows.total]))
        if not in_order or min(rows.lengths, default=1) < 1 or rows.spare_items < 0:
            return f"stream {name!r} has offsets that do not follow from its lengths"
        chunks = 0 if marker.backend == "zarr" else -(-rows.total // rows.chunk_items)
        if len(rows.chunk_offsets) != chunks or min(rows.chunk_offsets, default=0) < 0:
            return f"stream {name!r} does not say where its {chunks} chunks lie"
        if len(rows.chunk_sizes) not in (0, chunks) or bool(rows.chunk_sizes) != (rows.file_chunks > 0):
            return f"stream {name!r} does not say how large its {chunks} chunks are"
        if not _has_scales(name, marker):
            return f"stream {name!r} is int8 and has no scales, or the other way round"
    return None


def _has_scales(name: str, marker: Marker) -> bool:
    """Whether an int8 stream has its scales, and scales their stream; true of all others."""
    values = marker.streams.get(name.removesuffix(SCALE))
    scales = marker.streams.get(name.removesuffix(SCALE) + SCALE)
    if values is None or values.dtype != "int8":
        return values is not None and scales is None
    return (
        scales is not None
        and (scales.shape, scales.dtype) == (values.shape[:-1], "float32")
        and scales.lengths == values.lengths
    )
