"""What features must be like before they are stored."""

import json
from collections.abc import Mapping
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidFeatures, InvalidSpecification
from store.fingerprint import canonical_json
from store.marker import DTYPES, StreamShape
from store.names import check_stream_name


def checksum(array: NDArray[Any]) -> int:
    """crc32c of a C-contiguous array's bytes."""
    return int(google_crc32c.value(array.reshape(-1).view(np.uint8)))


def checked_arrays(
    video: str, streams: Mapping[str, NDArray[Any]], expected: Mapping[str, StreamShape]
) -> dict[str, NDArray[Any]]:
    """The arrays, C-contiguous and little-endian. Raises InvalidFeatures where they may not be stored."""
    if not streams:
        raise InvalidFeatures(f"{video!r} has no streams at all")
    if expected and streams.keys() != expected.keys():
        raise InvalidFeatures(
            f"{video!r} has the streams {', '.join(sorted(streams))}; expected {', '.join(sorted(expected))}"
        )
    return {name: _checked_array(video, name, array, expected.get(name)) for name, array in streams.items()}


def checked_meta(video: str, meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of a video's meta data. Raises InvalidSpecification where it is not plain JSON."""
    try:
        copy: dict[str, Any] = json.loads(canonical_json(dict(meta or {})))
    except InvalidSpecification as error:
        raise InvalidSpecification(f"meta data of {video!r}: {error}") from None
    return copy


def _checked_array(
    video: str, stream: str, array: NDArray[Any], expected: StreamShape | None
) -> NDArray[Any]:
    check_stream_name(stream)
    what = f"{video!r}, stream {stream!r}"
    if not isinstance(array, np.ndarray):
        raise InvalidFeatures(f"{what}: expected a numpy array, found {type(array).__name__}")
    found = f"{list(array.shape)} {array.dtype.name}"
    if array.dtype.name not in DTYPES:
        raise InvalidFeatures(f"{what}: found {found}; features are stored as {' or '.join(DTYPES)}")
    if array.ndim == 0 or array.size == 0:
        raise InvalidFeatures(f"{what}: found {found}; expected at least one item [n, …]")
    if expected and (array.shape[1:] != expected.shape or array.dtype.name != expected.dtype):
        wanted = ", ".join(["n", *map(str, expected.shape)])
        raise InvalidFeatures(f"{what}: found {found}; expected [{wanted}] {expected.dtype}")
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    count = np.count_nonzero(not_finite(array))
    if count:
        raise InvalidFeatures(f"{what}: {count:,} of {array.size:,} values are NaN or infinite")
    return array


def not_finite(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a little-endian array is NaN or infinite."""
    if array.dtype.name == "float16":
        # All exponent bits set: numpy's own test takes 25 times as long in half precision.
        mask: NDArray[np.bool_] = (array.view("<u2") & 0x7C00) == 0x7C00
    else:
        mask = ~np.isfinite(array)
    return mask
