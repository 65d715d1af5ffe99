"""Reads consecutive items of a part: its marker and its backend say where they lie, one call fetches them."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from store.errors import DamagedPart
from store.marker import Marker
from store.parts import backend
from store.spans import Span


class ReadSpans(Protocol):
    """Fetches bytes of a part, from wherever it is."""

    def __call__(self, part: str, spans: list[Span], out: NDArray[Any]) -> None:
        """Fill `out`, which is C-contiguous, with one span after the other. Raises DamagedPart."""
        ...


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
