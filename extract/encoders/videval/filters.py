"""Filters and local normalisation of VIDEVAL's planes, float64 [H, W].

All are correlations. Where a picture is flat, its normalised coefficients are rounding noise, and some
of the published numbers count the signs of that noise: so a filter adds up its products one by one in
the order of the taps, first down the columns and then along the rows, with the factors that MATLAB's
`filter2` takes from the singular value decomposition of the window.
"""

from collections.abc import Callable
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


def gaussian_window(size: int, sigma: float) -> Plane:
    """[size, size]: a Gaussian that sums to 1, as MATLAB's `fspecial` makes it."""
    across = np.arange(size) - (size - 1) / 2
    window: Plane = np.exp(-(across[:, None] ** 2 + across**2) / (2 * sigma * sigma))
    window /= window.sum()
    return window


def factors(window: Plane, rank: int = 1) -> list[tuple[Taps, Taps]]:
    """(down, right) taps whose outer products add up to a square window of that rank."""
    left, values, right = np.linalg.svd(window)
    roots = np.sqrt(values)
    return [
        (tuple((left[:, i] * roots[i]).tolist()), tuple((right[i] * roots[i]).tolist())) for i in range(rank)
    ]


def filtered(plane: Plane, down: Taps, right: Taps, edges: Edges = "zero") -> Plane:
    """A plane correlated with `down` along its columns, then with `right` along its rows; same size."""
    height, width = plane.shape
    reach = len(right) // 2
    # The pads of a row are those of its neighbours too, so all rows are correlated as a single line.
    line = np.zeros(height * (width + 2 * reach) + 2 * reach)
    padded = line[: line.size - 2 * reach].reshape(height, width + 2 * reach)
    padded[:, reach : reach + width] = _down_columns(height, down, edges) @ np.ascontiguousarray(plane)
    if edges == "nearest":
        padded[:, :reach] = padded[:, reach : reach + 1]
        padded[:, reach + width :] = padded[:, reach + width - 1 : reach + width]
    correlated = np.correlate(line, np.array(right), "valid").reshape(height, width + 2 * reach)
    return np.ascontiguousarray(correlated[:, :width])


@lru_cache(maxsize=64)
def _down_columns(height: int, taps: Taps, edges: Edges) -> csr_array:
    """[height, height]: the matrix that correlates the columns of a plane with the taps."""
    reach = len(taps) // 2
    rows, offsets = np.indices((height, len(taps)))
    sources = rows + offsets - reach
    weights = np.broadcast_to(np.array(taps), sources.shape)
    inside = (sources >= 0) & (sources < height) if edges == "zero" else np.ones(sources.shape, bool)
    starts = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
    return csr_array((weights[inside], sources.clip(0, height - 1)[inside], starts), shape=(height, height))


# The factors that the reference got for a window of sigma 7/6, to the last bit: in a flat picture the local
# mean is wrong by as much as they add up to more than 1, and that decides the signs of the noise.
_DOWN: Taps = (
    0.012560200468474952,
    0.07882796468173009,
    0.23729607711717077,
    0.34263151546524967,
    0.23729607711717077,
    0.07882796468173009,
    0.012560200468474622,
)
_RIGHT: Taps = (
    0.01256020046847461,
    0.07882796468173014,
    0.23729607711717068,
    0.34263151546524956,
    0.23729607711717068,
    0.07882796468173006,
    0.012560200468474619,
)
((_WIDE_DOWN, _WIDE_RIGHT),) = factors(gaussian_window(7, 1.5 * 7 / 6))


def gaussian(plane: Plane) -> Plane:
    """Local mean: a 7x7 Gaussian of sigma 7/6 pixels, with zeros outside."""
    return filtered(plane, _DOWN, _RIGHT)


def difference_of_gaussians(plane: Plane) -> Plane:
    """What a 7x7 Gaussian of sigma 7/6 pixels keeps and one of sigma 7/4 pixels does not."""
    return gaussian(plane) - filtered(plane, _WIDE_DOWN, _WIDE_RIGHT)


def local_deviation(plane: Plane) -> Plane:
    """Sigma map: the standard deviation around each pixel, in the plane's units."""
    return _deviation(plane, gaussian(plane))


def normalised(plane: Plane) -> tuple[Plane, Plane]:
    """Mean-subtracted contrast-normalised (MSCN) coefficients (Mittal et al., 2012) and the sigma map."""
    mean = gaussian(plane)
    deviation = _deviation(plane, mean)
    return (plane - mean) / (deviation + 1), deviation


def _deviation(plane: Plane, mean: Plane) -> Plane:
    deviation: Plane = gaussian(plane * plane)
    deviation -= mean * mean
    np.abs(deviation, out=deviation)
    return np.sqrt(deviation, out=deviation)


def neighbour_product(plane: Plane, down: int, right: int) -> Plane:
    """Each pixel times the one `down` rows above and `right` columns to its left, around the edges."""
    return combined_with_shifted(np.multiply, plane, plane, down, right)


def combined_with_shifted(
    operation: Callable[..., Plane], plane: Plane, other: Plane, down: int, right: int
) -> Plane:
    """operation(plane, np.roll(other, (down, right), (0, 1))) without the copy."""
    result = np.empty_like(plane)
    for to_row, from_row in _halves(plane.shape[0], down):
        for to_column, from_column in _halves(plane.shape[1], right):
            here = (to_row, to_column)
            operation(plane[here], other[from_row, from_column], out=result[here])
    return result


def _halves(size: int, shift: int) -> list[tuple[slice, slice]]:
    """(where to, where from) of the two parts of a line shifted around its ends."""
    shift %= size
    parts = [(slice(shift, size), slice(0, size - shift))]
    return [*parts, (slice(0, shift), slice(size - shift, size))] if shift else parts


_SMOOTH: Taps = (1.0, 2.0, 1.0)
_STEP: Taps = (-1.0, 0.0, 1.0)


def sobel(plane: Plane, edges: Edges) -> tuple[Plane, Plane]:
    """Differences along the rows and down the columns, by Sobel's windows of 1 and 2, undivided."""
    return filtered(plane, _SMOOTH, _STEP, edges), filtered(plane, _STEP, _SMOOTH, edges)


def laplacian(plane: Plane) -> Plane:
    """The first band of the Laplacian pyramid of Burt and Adelson (1983): what halving a plane loses."""
    height, width = plane.shape
    reduced = _reduction(height) @ np.ascontiguousarray(plane)  # [H / 2, W]
    lines = np.ascontiguousarray(reduced.T)
    expanded = _expansion(width) @ (_reduction(width) @ lines)  # [W, H / 2]
    lost: Plane = plane - _expansion(height) @ np.ascontiguousarray(expanded.T)
    return lost


@lru_cache(maxsize=64)
def _reduction(size: int) -> csr_array:
    """[ceil(size / 2), size]: the binomial filter at pixels 0, 2, 4 ..., reflected about the edge pixels."""
    return _binomial(size)[::2]


@lru_cache(maxsize=64)
def _expansion(size: int) -> csr_array:
    """[size, ceil(size / 2)]: the binomial filter over kept pixels with zeros between them."""
    return csr_array(_binomial(size).tocsc()[:, ::2])


def _binomial(size: int) -> csr_array:
    taps = np.sqrt(2) * np.array([1, 4, 6, 4, 1]) / 16
    sources = np.pad(np.arange(size), 2, mode="reflect")
    matrix = np.zeros((size, size))
    for offset, tap in enumerate(taps):
        np.add.at(matrix, (np.arange(size), sources[offset : offset + size]), tap)
    return csr_array(matrix)
