"""The numbers that features are stored as, and how tools that lack some of them see those.

numpy has no bfloat16: `ml_dtypes` adds it, and in files it is uint16 with an attribute that says so.
"""

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

GIVEN = ("float16", "float32", "bfloat16")
"""What encoders may give to be stored."""

_EXPONENT = {"float16": 0x7C00, "bfloat16": 0x7F80}
_SIGN = 0x8000


@dataclass(frozen=True)
class FileDtype:
    """How files of a standard format hold a dtype."""

    dtype: np.dtype[Any]
    fill: float | int
    """Marks what was never written: NaN, or for int8 the one value that quantised features never have."""
    attributes: dict[str, Any]


_FILES = {
    "float16": FileDtype(np.dtype("<f2"), float("nan"), {}),
    "float32": FileDtype(np.dtype("<f4"), float("nan"), {}),
    "bfloat16": FileDtype(np.dtype("<u2"), 0x7FC0, {"dtype": "bfloat16"}),
    "int8": FileDtype(np.dtype("i1"), -128, {}),
}

STORED = tuple(_FILES)
"""All dtypes of streams in a part."""


def array_dtype(name: str) -> np.dtype[Any]:
    """The dtype of arrays in memory."""
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def file_dtype(name: str) -> FileDtype:
    """How the files of a part hold a stream of that dtype."""
    return _FILES[name]


def not_finite(array: NDArray[Any]) -> int:
    """How many numbers of a little-endian array are NaN or infinite."""
    exponent = _EXPONENT.get(array.dtype.name)
    if exponent is None:
        return int(array.size - np.count_nonzero(np.isfinite(array)))
    bits = array.view("<u2")
    # All exponent bits set: numpy's own test takes 50 times as long in half precision. Without its sign, such
    # a number is above all others, as signed integers where it is positive, as unsigned where negative.
    if array.view("<i2").max() < exponent and bits.max() < exponent | _SIGN:
        return 0
    return int(np.count_nonzero((bits & exponent) == exponent))
