"""Contrast, colourfulness and sharpness of a frame: TLVQM's high-complexity features.

Korhonen, "Two-Level Approach for No-Reference Consumer Video Quality Assessment", IEEE TIP 2019, III.B;
those that VIDEVAL (Tu et al., IEEE TIP 2021) keeps.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from extract.encoders.videval.colour import lab
from extract.encoders.videval.resize import imresize

Plane = NDArray[np.float64]

NAMES = ("hcf1", "hcf2", "hcf17", "hcf22", "hcf24", "hcf30")
_RANGES = (100, 50, 50)  # of L, a and b
_BAND_PIXELS = 16384  # in which slopes are taken at a time: all that they need stays in the processor's cache
_SIDE = 17
_STEP = 16
_FIRST = 7
_SHIFTS = 6
_STRONG = 1e-4
_WIDEST = 1280


def high_features(y: Plane, u: Plane, v: Plane) -> Plane:
    """[6], NAMES, of a frame's planes [H, W], 0..255; never NaN."""
    colours = lab(y, u, v)
    steepness = _steepness(colours)
    opponents = colours[1:].ravel()
    chroma = np.sqrt(opponents @ opponents / y.size) / 50
    deviation = steepness.std(ddof=1) if steepness.size > 1 else 0.0
    return np.array([steepness.mean(), deviation, chroma, *sharpness(steepness)])


def sharpness(steepness: Plane) -> tuple[float, float, float]:
    """How far a gradient picture [H, W] is like itself next to itself, and its contrast: hcf22, hcf24, hcf30.

    Over blocks with strong gradients: the mean of the autocorrelation at 2 to 6 pixels, relative to that
    at one pixel; the same at 2 pixels; and the mean deviation within blocks that deviate no more than
    the average. Zeros where no block is strong.
    """
    if steepness.shape[1] > _WIDEST:
        steepness = imresize(steepness, 0.5)
    across, down = _strong_blocks(steepness)
    if not len(across):
        return 0.0, 0.0, 0.0
    here = slice(_SIDE)
    sums = np.empty((_SHIFTS + 1, len(across)))
    for shift in range(_SHIFTS + 1):
        there = slice(shift, shift + _SIDE)
        sums[shift] = _products(across, across[:, there, here]) + _products(down, down[:, here, there])
        both = _products(across, across[:, there, there]) + _products(down, down[:, there, there])
        sums[shift] += 0.5 * both
    similar = sums[1:] / (sums[0] / 1.5)
    similar /= np.where(similar[0] > 0, similar[0], 1)
    deviations = np.hypot(across[:, here, here], down[:, here, here]).std(axis=(1, 2), ddof=1)
    even = deviations[deviations <= deviations.mean()]
    return float(similar[1:].mean()), float(similar[1].mean()), float(even.mean()) if len(even) else 0.0


def _products(blocks: Plane, others: Plane) -> Plane:
    """[N]: sums of the products of the first _SIDE rows and columns of blocks [N, ...] with others."""
    products: Plane = np.einsum("nij,nij->n", blocks[:, :_SIDE, :_SIDE], others)
    return products


def _strong_blocks(steepness: Plane) -> tuple[Plane, Plane]:
    """Slopes across and down [N, _SIDE + _SHIFTS, _SIDE + _SHIFTS] of blocks that have strong ones.

    Blocks begin at pixels 7, 23, 39 ..., the last at least 25 pixels before the end of the picture.
    """
    reach = _SIDE + _SHIFTS
    if min(steepness.shape) < _FIRST + reach + 2:
        return np.empty((0, reach, reach)), np.empty((0, reach, reach))
    slopes = _sobel(steepness[_FIRST - 1 :, _FIRST - 1 :])
    energy = np.square(slopes[0]) + np.square(slopes[1])
    windows = sliding_window_view(energy, (_SIDE, _SIDE))[:-_FIRST:_STEP, :-_FIRST:_STEP]
    rows, columns = np.nonzero(np.einsum("abij->ab", windows) / _SIDE**2 > 64 * _STRONG)
    across, down = (
        sliding_window_view(plane, (reach, reach))[rows * _STEP, columns * _STEP] / 8 for plane in slopes
    )
    return across, down


def _steepness(colours: Plane) -> Plane:
    """[H, W]: the length of the gradients of L, a and b [3, H, W], each relative to its range."""
    _, height, width = colours.shape
    steepness = np.zeros((height, width))
    rows = max(1, _BAND_PIXELS // width)
    for first in range(1, height - 1, rows):
        last = min(first + rows, height - 1)
        total = steepness[first:last, 1:-1]
        for plane, range_ in zip(colours, _RANGES, strict=True):
            for slopes in _sobel(plane[first - 1 : last + 1]):
                slopes *= 1 / (8 * range_)
                slopes *= slopes
                total += slopes
        np.sqrt(total, out=total)
    return steepness


def _sobel(plane: Plane) -> tuple[Plane, Plane]:
    """8 times the slopes across and down of a plane [H, W], without its outermost pixels: [H - 2, W - 2]."""
    smooth = plane[:-2] + plane[2:]
    smooth += plane[1:-1]
    smooth += plane[1:-1]
    steps = plane[2:] - plane[:-2]
    down = steps[:, :-2] + steps[:, 2:]
    down += steps[:, 1:-1]
    down += steps[:, 1:-1]
    return smooth[:, 2:] - smooth[:, :-2], down
