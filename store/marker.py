"""The commit marker of a part: the JSON file whose presence makes the part's videos exist."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from pydantic import TypeAdapter, ValidationError

from store.errors import DamagedMarker, InvalidSpecification, NewerFormat
from store.fingerprint import canonical_json
from store.names import is_stream_name

FORMAT = 1
"""Version of the layout of feature sets; a reader refuses later ones."""
DTYPES = ("float16", "float32")


@dataclass(frozen=True)
class StreamShape:
    """What one item (a chunk of a video, a frame) of a stream looks like."""

    shape: tuple[int, ...]
    dtype: str
    """float16 or float32."""

    @property
    def item_bytes(self) -> int:
        """Bytes of one item."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass
class StreamRows:
    """Where each video's items lie in a stream of the part, in the order of the marker's videos."""

    shape: tuple[int, ...]
    dtype: str
    chunk_items: int = 0
    """Items in each of the part's chunk files."""
    offsets: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    crc32c: list[int] = field(default_factory=list)
    """Of each video's bytes, little-endian."""

    @property
    def total(self) -> int:
        """Items of all videos."""
        return self.offsets[-1] + self.lengths[-1] if self.offsets else 0

    @property
    def stream_shape(self) -> StreamShape:
        """Shape and dtype of one item."""
        return StreamShape(self.shape, self.dtype)


@dataclass
class Marker:
    """Everything that a reader knows about a part."""

    part: str
    """Name of the part's folder or file."""
    backend: str
    sequence: int
    """Among parts with the same video, the one with the highest sequence (then name) counts.

    Nanoseconds since 1970 at the commit, but always more than any part that the writer knew.
    """
    videos: list[str]
    streams: dict[str, StreamRows]
    meta: list[dict[str, Any]]
    """What the extraction noted about each video."""

    @property
    def committed(self) -> datetime:
        """When the part was committed."""
        return datetime.fromtimestamp(self.sequence / 1e9, UTC)


_MARKERS = TypeAdapter(Marker)


def marker_bytes(marker: Marker) -> bytes:
    """The marker's file, with a checksum of its own."""
    content = json.loads(canonical_json(asdict(marker)))
    text = json.dumps({"format": FORMAT, "crc32c": _checksum(content), **content}, separators=(",", ":"))
    return text.encode("utf-8")


def read_marker(path: Path) -> Marker:
    """Read and check a marker. Raises DamagedMarker or NewerFormat, naming the file."""
    try:
        content = json.loads(path.read_bytes())
        version, expected = content.pop("format"), content.pop("crc32c")
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise DamagedMarker(f"{path} is not a readable commit marker: {error!r}. {_ADVICE}") from None
    if not isinstance(version, int) or version > FORMAT:
        raise NewerFormat(
            f"{path} has format {version!r}; this version reads up to {FORMAT}: update this program"
        )
    if expected != _checksum_of_found(content):
        raise DamagedMarker(f"{path} was changed since it was written: its checksum differs. {_ADVICE}")
    try:
        marker = _MARKERS.validate_python(content)
    except ValidationError as error:
        raise DamagedMarker(f"{path}: {error}. {_ADVICE}") from None
    fault = _inconsistency(marker, path)
    if fault:
        raise DamagedMarker(f"{path}: {fault}. {_ADVICE}")
    return marker


_ADVICE = "Restore it, or delete it with its part and extract its videos again."


def _checksum(content: Any) -> int:
    return int(google_crc32c.value(canonical_json(content).encode("utf-8")))


def _checksum_of_found(content: Any) -> int | None:
    try:
        return _checksum(content)
    except (InvalidSpecification, RecursionError):
        return None


def _inconsistency(marker: Marker, path: Path) -> str | None:
    count = len(marker.videos)
    if marker.part != Path(marker.part).name or path.name != f"{Path(marker.part).stem}.json":
        return f"it describes {marker.part!r}"
    if len(set(marker.videos)) != count or len(marker.meta) != count:
        return "videos are listed twice, or without their meta data"
    for name, rows in marker.streams.items():
        if not is_stream_name(name) or min(rows.shape, default=1) < 1:
            return f"stream {name!r} has items of shape {list(rows.shape)}"
        if rows.dtype not in DTYPES or rows.chunk_items < 1:
            return f"stream {name!r} has dtype {rows.dtype!r} and chunks of {rows.chunk_items} items"
        if not len(rows.offsets) == len(rows.lengths) == len(rows.crc32c) == count:
            return f"stream {name!r} does not describe {count} videos"
        if rows.offsets != np.cumsum([0, *rows.lengths])[:-1].tolist() or min(rows.lengths, default=1) < 1:
            return f"stream {name!r} has offsets that do not follow from its lengths"
    return None
