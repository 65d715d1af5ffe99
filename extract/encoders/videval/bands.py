"""Correlation of planes in bands of rows, which stay in the processor's cache from one step to the next.

The products are added up one by one in the order of the taps, first down the columns and then along the
rows, so that the same plane gives the same numbers to the last bit, whatever the bands.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Plane = NDArray[np.float64]
Taps = tuple[float, ...]
"""An odd number of weights of neighbouring pixels."""
Edges = Literal["zero", "nearest"]
"""What lies outside of a plane: nothing, or the pixel at its edge."""

_BAND_PIXELS = 40_000


def bands(plane: Plane, reach: int, edges: Edges = "zero") -> Iterator[tuple[slice, Plane]]:
    """(rows, band) of a plane [H, W], from top to bottom: a band [rows + 2 * reach, W + 2 * reach] is the
    rows with `reach` pixels more on all sides. It may be written to, and is valid until the next one.
    """
    height, width = plane.shape
    most = min(height, max(1, _BAND_PIXELS // width))
    memory = np.empty((most + 2 * reach, width + 2 * reach))
    for first in range(0, height, most):
        last = min(first + most, height)
        band = memory[: last - first + 2 * reach]
        above, below = max(reach - first, 0), max(last + reach - height, 0)
        inner = band[above : len(band) - below]
        inner[:, reach : reach + width] = plane[first - reach + above : last + reach - below]
        if edges == "nearest":
            inner[:, :reach] = inner[:, reach : reach + 1]
            inner[:, reach + width :] = inner[:, reach + width - 1 : reach + width]
            band[:above], band[len(band) - below :] = inner[0], inner[-1]
        else:
            inner[:, :reach] = inner[:, reach + width :] = 0
            band[:above] = band[len(band) - below :] = 0
        yield slice(first, last), band


def correlated(band: Plane, down: Taps, right: Taps) -> Plane:
    """A band [rows + 2r, width + 2r] correlated with `down` [2r + 1] along its columns, then with `right`
    [2r + 1] along its rows: [rows, width]. A band with more pixels at its sides keeps what is more.
    """
    return along_rows(down_columns(band, down), right)


def down_columns(band: Plane, taps: Taps) -> Plane:
    """A band [rows + 2r, width] correlated with taps [2r + 1] along its columns: [rows, width]."""
    lines: Plane = _down_columns(len(band) - len(taps) + 1, taps) @ band
    return lines


def along_rows(lines: Plane, taps: Taps) -> Plane:
    """Rows [rows, width + 2r] correlated with taps [2r + 1] each: [rows, width]."""
    # As a single line: a row runs into its neighbours, but only in the pixels that are cut off.
    rows = np.correlate(lines.ravel(), np.array(taps), "same").reshape(lines.shape)
    reach = len(taps) // 2
    return rows[:, reach : lines.shape[1] - reach]


@lru_cache(maxsize=256)
def _down_columns(rows: int, taps: Taps) -> csr_array:
    """[rows, rows + 2r]: the matrix that correlates the columns of a band with the taps."""
    sources = np.arange(rows)[:, None] + np.arange(len(taps))
    starts = np.arange(rows + 1) * len(taps)
    weights = np.tile(np.array(taps), rows)
    return csr_array((weights, sources.ravel(), starts), shape=(rows, rows + len(taps) - 1))
