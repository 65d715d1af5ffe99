"""Distributions fitted to the values of a plane by their moments, and the moments themselves.

The shape of a generalised Gaussian is the one of a grid whose ratio of moments comes nearest to that
of the values: Sharifi and Leon-Garcia (1995); for the asymmetric one, Lasmar, Stitou and Berthoumieu
(2009). Where there is nothing to fit, a ratio is NaN and the shape is the first one of the grid.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma

Values = NDArray[np.float64]

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
    flat = values.ravel()
    negative, positive = np.minimum(flat, 0), np.maximum(flat, 0)
    left_square, right_square = negative @ negative, positive @ positive
    magnitude = (positive.sum() - negative.sum()) / flat.size
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        left = np.sqrt(left_square / np.count_nonzero(negative))
        right = np.sqrt(right_square / np.count_nonzero(positive))
        ratio = magnitude**2 / ((left_square + right_square) / flat.size)
        balance = left / right
        ratio *= (balance**3 + 1) * (balance + 1) / (balance**2 + 1) ** 2
        shape = _SHAPES[np.argmin((_MAGNITUDE_TO_SQUARE - ratio) ** 2)]
        scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape)) * gamma(2 / shape) / gamma(1 / shape)
        mean = (right - left) * scale
    return AsymmetricGaussian(float(shape), float(mean), float(left), float(right))


def symmetric_fit(values: Values) -> Gaussian:
    """A generalised Gaussian around zero, fitted to values of any shape (GGD)."""
    flat = values.ravel()
    square = flat @ flat / flat.size
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = square / np.abs(flat).mean() ** 2
        shape = _SHAPES[np.argmin(np.abs(_SQUARE_TO_MAGNITUDE - ratio))]
    return Gaussian(float(shape), float(np.sqrt(square)))


def centred_fit(values: Values) -> Gaussian:
    """A generalised Gaussian around the mean of the values."""
    return symmetric_fit(values - values.mean())


def skewness(values: Values) -> float:
    """Third central moment over the second to the power 3/2; NaN for values that are all the same."""
    return _skewness_and_kurtosis(values)[0]


def kurtosis(values: Values) -> float:
    """Fourth central moment over the square of the second, 3 for a Gaussian; NaN for equal values."""
    return _skewness_and_kurtosis(values)[1]


def _skewness_and_kurtosis(values: Values) -> tuple[float, float]:
    centred = values.ravel() - values.mean()
    squares = centred * centred
    second = squares.mean()
    third, fourth = squares @ centred / squares.size, squares @ squares / squares.size
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(third / second**1.5), float(fourth / second**2)
