"""Statistics of natural scenes and their distortions: pure functions of luma planes.

Planes are float32 [H, W] on the 0 to 255 scale, at least 32 x 32. Every result is finite, flat planes
included: denominators carry a constant that is far below what a visible picture gives.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, maximum_filter1d, minimum_filter1d, uniform_filter1d
from scipy.special import gamma

Plane = NDArray[np.float32]

PATCH = 32
"""Side in pixels of the patches over which percentiles are taken."""
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Offsets (rows, columns) of BRISQUE's neighbour products."""

_TINY = 1e-6
_SHAPES = np.arange(0.2, 10.0, 0.001)
# E[x^2] / E[|x|]^2 of a generalised Gaussian, which falls as the shape grows (Sharifi & Leon-Garcia 1995).
_RATIOS = gamma(1 / _SHAPES) * gamma(3 / _SHAPES) / gamma(2 / _SHAPES) ** 2
_BINOMIAL: NDArray[np.float32] = np.array([1, 4, 6, 4, 1], np.float32) / np.float32(16)
_GAUSSIAN = np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)
_WINDOW: NDArray[np.float32] = (_GAUSSIAN / _GAUSSIAN.sum()).astype(np.float32)


def smooth(plane: Plane, kernel: NDArray[np.float32]) -> Plane:
    """The plane under a separable kernel."""
    columns = correlate1d(plane, kernel, axis=0, mode="nearest")
    result: Plane = correlate1d(columns, kernel, axis=1, mode="nearest")
    return result


def halve(plane: Plane) -> Plane:
    """Every second sample of the plane under a 5-tap binomial low-pass."""
    return smooth(plane, _BINOMIAL)[::2, ::2]


def mscn(plane: Plane) -> tuple[Plane, Plane]:
    """Mean-subtracted, contrast-normalised coefficients and the local deviation, both [H, W].

    Mittal, Moorthy, Bovik 2012 (BRISQUE), equations 1 to 3: 7 x 7 Gaussian window, C = 1.
    """
    centred = plane - smooth(plane, _WINDOW)
    # Deviation around the local mean; E[x^2] - E[x]^2 would cancel in float32.
    deviation = np.sqrt(smooth(centred * centred, _WINDOW))
    return centred / (deviation + 1), deviation


def ggd(values: NDArray[np.float32]) -> tuple[float, float]:
    """Shape and standard deviation of a zero-mean generalised Gaussian, by moment matching.

    The shape is kept between 0.2 and 10; constant zeros count as the flattest shape, 10.
    """
    square = float(np.mean(values * values))
    absolute = float(np.mean(np.abs(values)))
    ratio = (square + _TINY) / (absolute**2 + _TINY)
    return _shape(ratio), float(np.sqrt(square))


def aggd(values: NDArray[np.float32]) -> tuple[float, float, float, float]:
    """Shape, mean, left and right deviation of an asymmetric generalised Gaussian, by moment matching.

    BRISQUE, equations 10 to 15 (Lasmar, Stitou, Berthoumieu 2009).
    """
    squares = values * values
    negative, positive = values < 0, values > 0
    left = float(np.sqrt(np.sum(squares, where=negative) / max(np.count_nonzero(negative), 1)))
    right = float(np.sqrt(np.sum(squares, where=positive) / max(np.count_nonzero(positive), 1)))
    asymmetry = (left + _TINY) / (right + _TINY)
    ratio = (float(np.mean(squares)) + _TINY) / (float(np.mean(np.abs(values))) ** 2 + _TINY)
    # The inverse of equation 13's ratio, so that one table serves both fits.
    inverse = ratio * (asymmetry**2 + 1) ** 2 / ((asymmetry**3 + 1) * (asymmetry + 1))
    shape = _shape(inverse)
    spread = float(np.sqrt(gamma(1 / shape) / gamma(3 / shape)))
    mean = (right - left) * spread * float(gamma(2 / shape) / gamma(1 / shape))
    return shape, mean, left, right


def neighbour_product(coefficients: Plane, offset: tuple[int, int]) -> Plane:
    """Products of each coefficient with its neighbour at (rows, columns), where both exist."""
    rows, columns = offset
    height, width = coefficients.shape
    if columns < 0:
        return coefficients[: height - rows, -columns:] * coefficients[rows:, : width + columns]
    return coefficients[: height - rows, : width - columns] * coefficients[rows:, columns:]


def patch_means(plane: NDArray[Any], side: int = PATCH) -> NDArray[np.float32]:
    """Mean of each whole side x side patch, flattened; what is left at the right and bottom is dropped."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    patches = plane[: rows * side, : columns * side].reshape(rows, side, columns, side)
    means: NDArray[np.float32] = patches.mean(axis=(1, 3), dtype=np.float32)
    return means.ravel()


def bands(plane: Plane, octaves: int) -> list[Plane]:
    """Absolute band-pass responses, finest first, each half the size of the one before it."""
    found = []
    for _ in range(octaves):
        low = smooth(plane, _BINOMIAL)
        found.append(np.abs(plane - low))
        plane = low[::2, ::2]
    return found


def reblur(plane: Plane, taps: int = 9) -> float:
    """Share of neighbour differences that survives a further blur: 0 sharp, 1 blurred.

    Crete, Dolmiere, Ladret, Nicolas 2007; the larger of the two directions.
    """
    shares = []
    for axis in (0, 1):
        sharp = np.abs(np.diff(plane, axis=axis))
        blurred = np.abs(np.diff(uniform_filter1d(plane, taps, axis=axis, mode="nearest"), axis=axis))
        lost = np.maximum(sharp - blurred, 0)
        shares.append(1 - (float(lost.mean()) + _TINY) / (float(sharp.mean()) + _TINY))
    return max(shares)


def edge_width(plane: Plane, reach: int = 9, share: float = 0.02) -> float:
    """Median width in pixels of the strongest horizontal transitions: contrast over steepest slope.

    Of the `share` of pixels with the steepest slope. Between 1 (a step) and `reach`; `reach` where
    there is no slope at all.
    """
    slope = np.abs(np.diff(plane, axis=1))  # [H, W - 1]
    strong = slope >= max(float(np.quantile(slope[::4], 1 - share)), 1.0)
    strong &= slope == maximum_filter1d(slope, reach, axis=1)
    if not strong.any():
        return float(reach)
    contrast = maximum_filter1d(plane, reach, axis=1) - minimum_filter1d(plane, reach, axis=1)
    return float(np.median(contrast[:, 1:][strong] / slope[strong]))


def noise_response(plane: Plane) -> Plane:
    """|Immerkaer's Laplacian difference| [H, W], scaled so that its mean is the deviation of white noise.

    Immerkaer 1996, "Fast noise variance estimation": blind to planes and straight edges along the axes.
    """
    second = np.array([1, -2, 1], np.float32)
    response: Plane = np.abs(smooth(plane, second)) * np.float32(np.sqrt(np.pi / 2) / 6)
    return response


def blockiness(plane: Plane, period: int = 8) -> float:
    """log of mean |difference| across the coding grid over that between grid lines; 0 is no grid.

    The grid starts at the first row and column, as in H.26x and MPEG.
    """
    logs = []
    for axis in (0, 1):
        slope = np.abs(np.diff(plane, axis=axis))
        profile = slope.mean(axis=1 - axis, dtype=np.float64)  # [H - 1] or [W - 1]
        whole = profile[: profile.size // period * period].reshape(-1, period)
        on, off = whole[:, period - 1].mean(), whole[:, [1, 2, 3, 4, 5]].mean()
        logs.append(np.log((on + 0.02) / (off + 0.02)))
    return float(np.mean(logs))


def _shape(ratio: float) -> float:
    return float(np.interp(ratio, _RATIOS[::-1], _SHAPES[::-1]))
