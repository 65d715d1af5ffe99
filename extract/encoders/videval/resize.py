"""Bicubic resizing with antialiasing, as MATLAB's `imresize` does it.

The kernel is that of Keys, "Cubic Convolution Interpolation for Digital Image Processing" (1981), with
a = -0.5; for reduction it is stretched, so that it covers as much of the picture as a new pixel does.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Plane = NDArray[np.float64]


def imresize(plane: Plane, *ratios: float) -> Plane:
    """A plane [H, W] resized to [ceil(ratio * H), ceil(ratio * W)], rows before columns, edges mirrored.

    Values are neither rounded nor clipped. With several ratios the plane is resized by one after the
    other, but in a single step: as much work as for one ratio, and equal but for rounding.
    """
    height, width = plane.shape
    rows = _weights(height, ratios) @ np.ascontiguousarray(plane)
    columns = _weights(width, ratios) @ np.ascontiguousarray(rows.T)
    return np.ascontiguousarray(columns.T)


@lru_cache(maxsize=64)
def _weights(size: int, ratios: tuple[float, ...]) -> csr_array:
    """[new size, size]: what each old pixel of a line gives to each new one."""
    weights = _one_step(size, ratios[0])
    for ratio in ratios[1:]:
        weights = _one_step(weights.shape[0], ratio) @ weights
    return weights


def _one_step(size: int, ratio: float) -> csr_array:
    new_size = int(np.ceil(ratio * size))
    shrink = min(ratio, 1.0)
    reach = 4 / shrink
    centres = np.arange(1, new_size + 1) / ratio + 0.5 * (1 - 1 / ratio)  # [new]: old coordinates, from 1
    lefts = np.floor(centres - reach / 2)
    pixels = lefts[:, None] + np.arange(int(np.ceil(reach)) + 2)  # [new, taps]
    values = shrink * _cubic(shrink * (centres[:, None] - pixels))
    values /= np.add.accumulate(values, axis=1)[:, -1:]
    mirror = np.concatenate([np.arange(size), np.arange(size)[::-1]])
    columns = mirror[(pixels.astype(np.int64) - 1) % (2 * size)]
    counted = values != 0
    starts = np.concatenate([[0], np.cumsum(counted.sum(axis=1))])
    return csr_array((values[counted], columns[counted], starts), shape=(new_size, size))


def _cubic(distance: Plane) -> Plane:
    # By powers, and with their sums taken one after the other, as MATLAB rounds: in a resized picture
    # rounding decides which of several like corners TLVQM follows.
    x = np.abs(distance)
    square, cube = x * x, x * x * x
    near = 1.5 * cube - 2.5 * square + 1
    far = -0.5 * cube + 2.5 * square - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
