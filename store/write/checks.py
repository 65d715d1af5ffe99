"""What features must be like before they are stored."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidFeatures, InvalidSpecification
from store.format.dtypes import GIVEN, not_finite
from store.format.fingerprint import canonical_json
from store.format.marker import StreamShape
from store.ids import check_stream_name

Features = NDArray[Any] | Iterable[NDArray[Any]]
"""One stream of a video, [n, *stream shape]: whole, or in blocks along n that can be read more than once."""


def checksum(array: NDArray[Any], before: int = 0) -> int:
    """crc32c of a C-contiguous array's bytes; `before`: that of what precedes them."""
    return int(google_crc32c.extend(before, array.reshape(-1).view(np.uint8)))


def mismatch(location: str, part: str, found: int, expected: int) -> str:
    """The words for bytes whose crc32c is not the one that was written."""
    return f"its crc32c in {location}/{part} is {found:08x}; {expected:08x} was written"


@dataclass(frozen=True)
class CheckedStream:
    """One stream of a video that may be stored, block by block."""

    blocks: Iterable[NDArray[Any]]
    shape: StreamShape

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Arrays [n, *shape], C-contiguous and little-endian."""
        return map(_storable, self.blocks)


def checked_streams(
    video: str, streams: Mapping[str, Features], expected: Mapping[str, StreamShape]
) -> dict[str, CheckedStream]:
    """The streams, every block of them checked. Raises InvalidFeatures where they may not be stored."""
    if not streams:
        raise InvalidFeatures(f"{video!r} has no streams at all")
    if expected and streams.keys() != expected.keys():
        raise InvalidFeatures(
            f"{video!r} has the streams {', '.join(sorted(streams))}; expected {', '.join(sorted(expected))}"
        )
    return {name: _checked_stream(video, name, given, expected.get(name)) for name, given in streams.items()}


def checked_meta(video: str, meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of a video's meta data. Raises InvalidSpecification where it is not plain JSON."""
    try:
        copy: dict[str, Any] = json.loads(canonical_json(dict(meta or {})))
    except InvalidSpecification as error:
        raise InvalidSpecification(f"meta data of {video!r}: {error}") from None
    return copy


def _checked_stream(video: str, stream: str, given: Features, expected: StreamShape | None) -> CheckedStream:
    check_stream_name(stream)
    what = f"{video!r}, stream {stream!r}"
    if isinstance(given, np.ndarray):
        blocks: Iterable[NDArray[Any]] = [_storable(given)]
    elif isinstance(given, Iterable) and not isinstance(given, Iterator):
        blocks = given
    else:
        raise InvalidFeatures(
            f"{what}: expected a numpy array, found {type(given).__name__}"
            " (blocks of one must come in what can be read twice, such as a list)"
        )
    found: StreamShape | None = None
    for block in blocks:
        _check_block(block, what, expected or found)
        found = StreamShape(block.shape[1:], block.dtype.name)
    if found is None:
        raise InvalidFeatures(f"{what}: found no blocks; expected at least one item [n, …]")
    return CheckedStream(blocks, found)


def _check_block(array: NDArray[Any], what: str, expected: StreamShape | None) -> None:
    if not isinstance(array, np.ndarray):
        raise InvalidFeatures(f"{what}: expected a numpy array, found {type(array).__name__}")
    found = f"{list(array.shape)} {array.dtype.name}"
    if array.dtype.name not in GIVEN:
        raise InvalidFeatures(f"{what}: found {found}; features are stored as {' or '.join(GIVEN)}")
    if array.ndim == 0 or array.size == 0:
        raise InvalidFeatures(f"{what}: found {found}; expected at least one item [n, …]")
    if expected and (array.shape[1:] != expected.shape or array.dtype.name != expected.dtype):
        wanted = ", ".join(["n", *map(str, expected.shape)])
        raise InvalidFeatures(f"{what}: found {found}; expected [{wanted}] {expected.dtype}")
    count = not_finite(_storable(array))
    if count:
        raise InvalidFeatures(f"{what}: {count:,} of {array.size:,} values are NaN or infinite")


def _storable(array: NDArray[Any]) -> NDArray[Any]:
    """The array, C-contiguous and little-endian; itself where it is that already."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
