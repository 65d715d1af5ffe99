"""Quality of a clip from its likeness to the pristine one: SSIM, and what freezes take away."""

from collections.abc import Sequence

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_WORST_DECIBEL, _BEST_DECIBEL = 2.0, 22.0
_FREEZE_PENALTY = 0.6


def ssim(reference: NDArray[np.uint8], distorted: NDArray[np.uint8]) -> float:
    """Mean structural similarity of two luma planes [H, W], 0..1 for natural pictures.

    Wang, Bovik, Sheikh and Simoncelli 2004, with their Gaussian window of sigma 1.5.
    """
    x, y = reference.astype(np.float32), distorted.astype(np.float32)
    mean_x, mean_y, xx, yy, xy = (
        gaussian_filter(plane, _SIGMA, truncate=3.0) for plane in (x, y, x * x, y * y, x * y)
    )
    covariance = xy - mean_x * mean_y
    variances = (xx - mean_x**2) + (yy - mean_y**2)
    brightness = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return float((brightness * (2 * covariance + _C2) / (variances + _C2)).mean())


def clip_ssim(reference: Sequence[VideoFrame], distorted: Sequence[VideoFrame], samples: int = 6) -> float:
    """Mean over frames spread evenly over both clips."""
    count = min(len(reference), len(distorted))
    numbers = np.unique(np.linspace(0, count - 1, min(samples, count)).round().astype(int))
    return float(np.mean([ssim(luma(reference[n]), luma(distorted[n])) for n in numbers]))


def luma(frame: VideoFrame) -> NDArray[np.uint8]:
    """[H, W] of a yuv420p frame, as coded."""
    return np.asarray(frame.to_ndarray(format="yuv420p")[: frame.height], np.uint8)


def quality(similarity: float, frozen_share: float) -> float:
    """0 to 100, falling with each: SSIM on a decibel scale, which spreads what is nearly alike.

    A frozen picture looks like its pristine one where little moves, but is seen to stand still: it costs
    up to 60 % more.
    """
    decibel = -10 * np.log10(max(1 - similarity, 1e-6))
    clean = np.clip((decibel - _WORST_DECIBEL) / (_BEST_DECIBEL - _WORST_DECIBEL), 0, 1)
    return round(float(100 * clean * (1 - _FREEZE_PENALTY * frozen_share**0.7)), 2)
