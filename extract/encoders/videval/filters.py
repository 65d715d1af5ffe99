"""Filters and local normalisation of VIDEVAL's planes, float64 [H, W].

All are correlations. Where a picture is flat, its normalised coefficients are rounding noise, and some
of the published numbers count the signs of that noise.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.sparse import csr_array

from extract.encoders.videval.bands import Edges, Plane, Taps, bands, correlated


def gaussian_taps(count: int, sigma: float) -> Taps:
    """An odd number of samples of a Gaussian, which sum to 1."""
    across = np.arange(count) - count // 2
    samples = np.exp(-(across**2) / (2 * sigma * sigma))
    return tuple((samples / samples.sum()).tolist())


# The factors that MATLAB's `filter2` takes from the singular value decomposition of a window of sigma 7/6,
# to the last bit: in a flat picture the local mean is wrong by as much as they add up to more than 1, and
# that decides the signs of the noise.
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
_REACH = 3
_WIDE = gaussian_taps(7, 1.5 * 7 / 6)


def difference_of_gaussians(plane: Plane) -> Plane:
    """What a 7x7 Gaussian of sigma 7/6 pixels keeps and one of sigma 7/4 pixels does not; zeros outside."""
    result = np.empty(plane.shape)
    for rows, band in bands(plane, _REACH):
        wide = correlated(band, _WIDE, _WIDE)
        np.subtract(correlated(band, _DOWN, _RIGHT), wide, out=result[rows])
    return result


def local_deviation(plane: Plane) -> Plane:
    """Sigma map: the standard deviation around each pixel, in the plane's units, with zeros outside."""
    deviation = np.empty(plane.shape)
    for rows, band in bands(plane, _REACH):
        _deviation(band, correlated(band, _DOWN, _RIGHT), deviation[rows])
    return deviation


def normalised(plane: Plane) -> tuple[Plane, Plane]:
    """Mean-subtracted contrast-normalised (MSCN) coefficients (Mittal et al., 2012) and the sigma map."""
    coefficients, deviation = np.empty(plane.shape), np.empty(plane.shape)
    for rows, band in bands(plane, _REACH):
        mean = correlated(band, _DOWN, _RIGHT)
        contrast = _deviation(band, mean, deviation[rows]) + 1
        centred = np.subtract(plane[rows], mean, out=mean)
        np.divide(centred, contrast, out=coefficients[rows])
    return coefficients, deviation


def _deviation(band: Plane, mean: Plane, result: Plane) -> Plane:
    variance = correlated(band * band, _DOWN, _RIGHT)
    variance -= mean * mean
    np.abs(variance, out=variance)
    return np.sqrt(variance, out=result)


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


def gradient_magnitude(plane: Plane, edges: Edges) -> Plane:
    """The length of the gradient by Sobel's windows of 1 and 2, undivided."""
    result = np.empty(plane.shape)
    for rows, band in bands(plane, 1, edges):
        along = band[:, 2:] - band[:, :-2]
        down = band[2:] - band[:-2]
        along = _smoothed(along[:-2], along[1:-1], along[2:])
        down = _smoothed(down[:, :-2], down[:, 1:-1], down[:, 2:])
        magnitude(along, down, result[rows])
    return result


def _smoothed(before: Plane, here: Plane, after: Plane) -> Plane:
    """Weighted 1, 2, 1."""
    total = before + after
    total += here
    total += here
    return total


def magnitude(along: Plane, down: Plane, result: Plane | None = None) -> Plane:
    """The length of each gradient, its parts in the same units; both are overwritten."""
    along *= along
    down *= down
    along += down
    return np.sqrt(along, out=result)


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
    columns = sliding_window_view(sources, len(taps))  # [size, 5]
    ends = np.arange(0, columns.size + 1, len(taps), dtype=np.int32)
    matrix = csr_array((np.tile(taps, size), columns.astype(np.int32).ravel(), ends), shape=(size, size))
    matrix.sum_duplicates()  # at the edges
    return matrix
