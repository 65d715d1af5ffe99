"""Reads consecutive items of a part: its marker and its backend say where they lie, one call fetches them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.backends.registry import backend
from store.backends.spans import Span
from store.errors import DamagedPart, InvalidRange
from store.format.dtypes import array_dtype
from store.format.marker import Marker

ReadSpans = Callable[[str, list[Span], NDArray[Any]], None]
"""Fills a C-contiguous array with bytes of a part, one span after the other. Raises DamagedPart."""


def read_items(
    fetch: ReadSpans, where: str, marker: Marker, stream: str, first: int, out: NDArray[Any]
) -> None:
    """Read items `first`, `first + 1`, … into `out` [n, *stream shape], n ≥ 1. Raises DamagedPart."""
    kind, rows = backend(marker.backend), marker.streams[stream]
    count = len(out)
    spans = kind.spans(stream, rows, first, count, out.nbytes // count)
    if kind.decode is None:
        fetch(marker.part, spans, out)
        return
    coded = np.empty(sum(span.size for span in spans), np.uint8)
    fetch(marker.part, spans, coded)
    try:
        kind.decode(rows, first, coded, out)
    except ValueError as error:
        raise DamagedPart(f"{where}/{marker.part}{spans[0].file} cannot be decompressed: {error}") from None


def target(video: str, out: NDArray[Any] | None, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """`out`, or a new array where it is not given. Raises InvalidRange where it does not fit."""
    if out is None:
        return np.empty(shape, array_dtype(dtype))
    if out.shape != shape or out.dtype != array_dtype(dtype) or not out.flags.c_contiguous:
        raise InvalidRange(
            f"cannot read {video!r} into {list(out.shape)} {out.dtype.name}:"
            f" expected a C-contiguous array {list(shape)} {dtype}"
        )
    return out
