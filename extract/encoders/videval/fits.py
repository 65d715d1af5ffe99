"""Distributions fitted to the values of a plane by their moments, and the moments themselves.

The shape of a generalised Gaussian is the one of a grid whose ratio of moments comes nearest to that
of the values: Sharifi and Leon-Garcia (1995); for the asymmetric one, Lasmar, Stitou and Berthoumieu
(2009). Where there is nothing to fit, a ratio is NaN and the shape is the first one of the grid.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma

Values = NDArray[np.float64]

_PART = 32_768

_SHAPES = 0.2 + 0.001 * np.arange(9801)
# E[x^2] / E|x|^2 of a generalised Gaussian of each shape, and its inverse.
_SQUARE_TO_MAGNITUDE = gamma(1 / _SHAPES) * gamma(3 / _SHAPES) / gamma(2 / _SHAPES) ** 2
_MAGNITUDE_TO_SQUARE = gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))


class Gaussian(NamedTuple):
    """A generalised Gaussian."""

    shape: float
    deviation: float


class AsymmetricGaussian(NamedTuple):
    """A generalised Gaussian with another scale on either side of zero."""

    shape: float
    mean: float
    left: float
    """Root mean square of the negative values; NaN if there are none."""
    right: float
    """Root mean square of the positive values; NaN if there are none."""


def asymmetric_fit(values: Values) -> AsymmetricGaussian:
    """An asymmetric generalised Gaussian around zero, fitted to values of any shape (AGGD)."""
    magnitude = left_square = right_square = 0.0
    negatives = positives = 0
    for part in _parts(values):
        magnitudes = np.abs(part)
        magnitude += magnitudes.sum()
        negatives += int(np.count_nonzero(part < 0))
        positives += int(np.count_nonzero(part > 0))
        # Twice the positive values and zeros elsewhere, exactly; then the same of the negative ones.
        double = magnitudes + part
        right_square += float(double @ double) / 4
        double = np.subtract(magnitudes, part, out=double)
        left_square += float(double @ double) / 4
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        left, right = np.sqrt(np.divide([left_square, right_square], [negatives, positives]))
        ratio = np.divide(magnitude**2, (left_square + right_square) * values.size)
        balance = left / right
        ratio *= (balance**3 + 1) * (balance + 1) / (balance**2 + 1) ** 2
        shape = _SHAPES[np.argmin((_MAGNITUDE_TO_SQUARE - ratio) ** 2)]
        scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape)) * gamma(2 / shape) / gamma(1 / shape)
        mean = (right - left) * scale
    return AsymmetricGaussian(float(shape), float(mean), float(left), float(right))


def symmetric_fit(values: Values, centre: float = 0.0) -> Gaussian:
    """A generalised Gaussian around a centre, fitted to values of any shape (GGD)."""
    magnitude = square = 0.0
    for part in _parts(values):
        centred = part - centre
        square += float(centred @ centred)
        magnitude += np.abs(centred, out=centred).sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.divide(square * values.size, magnitude**2)
        shape = _SHAPES[np.argmin(np.abs(_SQUARE_TO_MAGNITUDE - ratio))]
    return Gaussian(float(shape), float(np.sqrt(square / values.size)))


def centred_fit(values: Values) -> Gaussian:
    """A generalised Gaussian around the mean of the values."""
    return symmetric_fit(values, values.mean())


def root_mean_square(values: Values, centre: float = 0.0) -> float:
    """Of the values' distances from a centre: the deviation of `symmetric_fit`, without its shape."""
    square = 0.0
    for part in _parts(values):
        centred = part - centre if centre else part
        square += float(centred @ centred)
    return float(np.sqrt(square / values.size))


def skewness(values: Values) -> float:
    """Third central moment over the second to the power 3/2; NaN for values that are all the same."""
    second, third, _ = _central_moments(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.divide(third, second**1.5))


def kurtosis(values: Values) -> float:
    """Fourth central moment over the square of the second, 3 for a Gaussian; NaN for equal values."""
    second, _, fourth = _central_moments(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.divide(fourth, second**2))


def _central_moments(values: Values) -> tuple[float, float, float]:
    """The second, third and fourth."""
    mean = values.mean()
    sums = np.zeros(3)
    for part in _parts(values):
        centred = part - mean
        squares = centred * centred
        sums += squares.sum(), squares @ centred, squares @ squares
    second, third, fourth = (sums / values.size).tolist()
    return second, third, fourth


def _parts(values: Values) -> Iterator[Values]:
    """The values in flat pieces that stay in the processor's cache from one step to the next."""
    flat = values.ravel()
    for first in range(0, flat.size, _PART):
        yield flat[first : first + _PART]
