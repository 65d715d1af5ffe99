"""Structural similarity, and the opinion score that the generated clips are given by it."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(reference: NDArray[np.uint8], distorted: NDArray[np.uint8]) -> float:
    """Mean structural similarity of two luma planes [H, W], at most 1.

    Wang, Bovik, Sheikh, Simoncelli: Image quality assessment (TIP 2004), eq. 13, with its Gaussian window.
    """
    x, y = reference.astype(np.float32), distorted.astype(np.float32)
    mean_x, mean_y, xx, yy, xy = (_local_mean(plane) for plane in (x, y, x * x, y * y, x * y))
    variance = xx - mean_x**2 + yy - mean_y**2
    covariance = xy - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return float((luminance * (2 * covariance + _C2) / (variance + _C2)).mean())


def _local_mean(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return gaussian_filter(plane, _SIGMA, truncate=3.5)


def opinion(similarities: Sequence[float], frozen_share: float) -> float:
    """A score from 0 to 100: how similar the frames are, less for the time that the picture stands still.

    The exponential spreads the similarities of usual distortions, 0.5 to 0.99, over the whole scale.
    """
    loss = max(0.0, 1 - sum(similarities) / len(similarities))
    return 100 * math.exp(-((loss / 0.25) ** 0.8)) * (1 - 0.75 * frozen_share)
