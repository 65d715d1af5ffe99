"""Natural-scene statistics of one picture: normalised coefficients and the distributions fitted to them.

Mittal, Moorthy and Bovik, "No-Reference Image Quality Assessment in the Spatial Domain" (BRISQUE), 2012,
section III: the coefficients of a pristine picture are close to Gaussian, and distortions change that.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import gammaln

Plane = NDArray[np.float32]
Features = dict[str, float]
"""Name → value."""

MSCN_CONSTANT = 1.0
TILE = 32

_SHAPES = np.arange(0.1, 10.0, 0.001)
# E|x|^2 / E[x^2] of a generalised Gaussian of each shape: rises with the shape.
_RATIOS = np.exp(2 * gammaln(2 / _SHAPES) - gammaln(1 / _SHAPES) - gammaln(3 / _SHAPES))
_WINDOW_SIGMA = 7 / 6
_SHIFTS = {"right": (0, 1), "down": (1, 0), "diagonal": (1, 1), "antidiagonal": (1, -1)}


def large_enough(luma: NDArray[np.uint8]) -> Plane:
    """Luma [H, W] as numbers, mirrored until both sides hold two tiles."""
    plane = luma.astype(np.float32)
    missing = [max(0, 2 * TILE - side) for side in plane.shape]
    return np.pad(plane, [(0, side) for side in missing], mode="symmetric") if any(missing) else plane


def half(plane: Plane) -> Plane:
    """[H, W] to [H // 2, W // 2]: means of 2x2 pixels."""
    height, width = (side // 2 * 2 for side in plane.shape)
    rows = plane[0:height:2, :width] + plane[1:height:2, :width]
    return (rows[:, 0::2] + rows[:, 1::2]) * np.float32(0.25)


def normalised(plane: Plane) -> tuple[Plane, Plane]:
    """Mean-subtracted contrast-normalised coefficients, and local deviation in grey levels; both [H, W]."""
    mean = gaussian_filter(plane, _WINDOW_SIGMA, truncate=3.0)
    square = gaussian_filter(plane * plane, _WINDOW_SIGMA, truncate=3.0)
    spread = np.sqrt(np.maximum(square - mean * mean, 0.0))
    return (plane - mean) / (spread + np.float32(MSCN_CONSTANT)), spread


def natural_scene_features(coefficients: Plane, prefix: str) -> Features:
    """BRISQUE's 18 features of one scale, with shapes and variances on a log scale.

    The shape and variance of the coefficients' generalised Gaussian; for the products of neighbours in
    four directions, shape, mean, left and right variance of the asymmetric one.
    """
    flat = coefficients.ravel()
    variance = float(flat @ flat) / flat.size
    shape = _log_shape(float(np.abs(flat).mean()) ** 2, variance)
    features = {"shape": shape, "variance": log_of(variance)}
    for direction, (down, right) in _SHIFTS.items():
        fitted = _asymmetric_fit(_neighbour_product(coefficients, down, right))
        parts = zip(("shape", "mean", "left", "right"), fitted, strict=True)
        features |= {f"{direction}_{part}": value for part, value in parts}
    return {f"{prefix}_{name}": value for name, value in features.items()}


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
