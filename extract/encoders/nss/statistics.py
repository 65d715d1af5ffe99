"""Natural-scene statistics of one picture: normalised coefficients and the distributions fitted to them.

Mittal, Moorthy and Bovik, "No-Reference Image Quality Assessment in the Spatial Domain" (BRISQUE), 2012,
section III: the coefficients of a pristine picture are close to Gaussian, and distortions change that.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import gammaln

Plane = NDArray[np.float32]

_SHAPES = np.arange(0.1, 10.0, 0.001)
# E|x|^2 / E[x^2] of a generalised Gaussian of each shape: rises with the shape.
_RATIOS = np.exp(2 * gammaln(2 / _SHAPES) - gammaln(1 / _SHAPES) - gammaln(3 / _SHAPES))
_WINDOW_SIGMA = 7 / 6
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))


def half(plane: Plane) -> Plane:
    """[H, W] to [H // 2, W // 2]: means of 2x2 pixels."""
    height, width = (side // 2 * 2 for side in plane.shape)
    rows = plane[0:height:2, :width] + plane[1:height:2, :width]
    return (rows[:, 0::2] + rows[:, 1::2]) * np.float32(0.25)


def local_deviation(plane: Plane) -> tuple[Plane, Plane]:
    """Difference from the local Gaussian mean, and local standard deviation; both [H, W], in grey levels."""
    mean = gaussian_filter(plane, _WINDOW_SIGMA, truncate=3.0)
    square = gaussian_filter(plane * plane, _WINDOW_SIGMA, truncate=3.0)
    return plane - mean, np.sqrt(np.maximum(square - mean * mean, 0.0))


def mscn(deviation: Plane, spread: Plane, constant: float) -> Plane:
    """Mean-subtracted contrast-normalised coefficients [H, W]."""
    return deviation / (spread + np.float32(constant))


def natural_scene_features(coefficients: Plane) -> list[float]:
    """BRISQUE's 18 features of one scale, with shapes and variances on a log scale.

    The shape and variance of the coefficients' generalised Gaussian; for the products of neighbours in
    four directions, shape, mean, left and right variance of the asymmetric one.
    """
    features = [*_symmetric_fit(coefficients)]
    for down, right in _SHIFTS:
        features += _asymmetric_fit(_neighbour_product(coefficients, down, right))
    return features


def natural_scene_names() -> list[str]:
    """Names of `natural_scene_features`, in order."""
    names = ["shape", "variance"]
    for direction in ("right", "down", "diagonal", "antidiagonal"):
        names += [f"{direction}_{part}" for part in ("shape", "mean", "left", "right")]
    return names


def _symmetric_fit(values: Plane) -> tuple[float, float]:
    flat = values.ravel()
    variance = float(flat @ flat) / flat.size
    magnitude = float(np.abs(flat).mean())
    return _log_shape(magnitude**2, variance), log_of(variance)


def _asymmetric_fit(values: Plane) -> tuple[float, float, float, float]:
    flat = values.ravel()
    negative, positive = np.minimum(flat, 0), np.maximum(flat, 0)
    left_square, right_square = float(negative @ negative), float(positive @ positive)
    left = np.sqrt(left_square / max(1, int(np.count_nonzero(negative))))
    right = np.sqrt(right_square / max(1, int(np.count_nonzero(positive))))
    magnitude = float(positive.mean() - negative.mean())
    square = (left_square + right_square) / flat.size
    balance = (left + 1e-6) / (right + 1e-6)
    # Lasmar, Stitou and Berthoumieu 2009: the moment ratio corrected for the asymmetry.
    correction = (balance**3 + 1) * (balance + 1) / (balance**2 + 1) ** 2
    shape = _log_shape(magnitude**2 * correction, square)
    alpha = np.exp(shape)
    mean = (right - left) * np.exp(gammaln(2 / alpha) - 0.5 * (gammaln(1 / alpha) + gammaln(3 / alpha)))
    return shape, float(mean), log_of(left**2), log_of(right**2)


def _log_shape(magnitude_square: float, square: float) -> float:
    # No signal at all looks Gaussian, so that flat pictures stay in the middle of the range.
    ratio = magnitude_square / square if square > 1e-12 else 2 / np.pi
    return float(np.log(_SHAPES[min(int(np.searchsorted(_RATIOS, ratio)), _SHAPES.size - 1)]))


def _neighbour_product(values: Plane, down: int, right: int) -> Plane:
    height, width = values.shape
    if right < 0:
        return values[: height - down, -right:] * values[down:, : width + right]
    return values[: height - down, : width - right] * values[down:, right:]


def log_of(value: float, floor: float = 1e-4) -> float:
    """Natural logarithm with a floor added, so that nothing at all has one too."""
    return float(np.log(value + floor))
