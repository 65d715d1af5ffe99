"""Joint statistics of gradient magnitude and Laplacian-of-Gaussian response.

Xue, Mou, Zhang, Bovik and Feng, "Blind Image Quality Assessment Using Joint Statistics of Gradient
Magnitude and Laplacian Features" (GM-LOG), IEEE Transactions on Image Processing, 2014.
"""

import numpy as np
from numpy.typing import NDArray

from extract.encoders.videval.filters import Plane, Taps, factors, filtered, gaussian_window

BINS = 10
BIN_WIDTH = 0.2
_SIGMA = 0.5
_BORDER = 2
_NORMALISER_FLOOR = 0.2
_MARGIN_FLOOR = 1e-4


def _gradient_window() -> Plane:
    window = gaussian_window(7, _SIGMA)
    step: Plane = window[1:6, 1:6] - window[1:6, 2:7]
    step /= np.abs(step).sum()
    return step


def _log_window() -> Plane:
    window = gaussian_window(5, _SIGMA)
    across = np.arange(-2.0, 3.0)
    window *= (across[:, None] ** 2 + across**2 - 2 * _SIGMA**2) / _SIGMA**4
    window -= window.mean()
    window /= np.abs(window).sum()
    return window


((_SMOOTH, _STEP),) = factors(_gradient_window())
_LOG: list[tuple[Taps, Taps]] = factors(_log_window(), rank=3)
((_DOWN, _RIGHT),) = factors(gaussian_window(7, 1.0))


def gm_log(luma: Plane) -> NDArray[np.float64]:
    """[40] of luma [H, W] in 0..255: what share of the pixels lies in each bin of gradient magnitude
    [10] and of Laplacian response [10], then how far each bin of either depends on the other [10, 10].

    Without pixels inside the border, all are NaN.
    """
    magnitude, response = _responses(luma)
    joint = _joint_histogram(magnitude, response)  # [magnitude bin, response bin]
    by_magnitude, by_response = joint.sum(axis=1), joint.sum(axis=0)
    with np.errstate(invalid="ignore"):
        depends_magnitude = (joint / (by_response + _MARGIN_FLOOR)).sum(axis=1)
        depends_response = (joint / (by_magnitude + _MARGIN_FLOOR)[:, None]).sum(axis=0)
        depends_magnitude /= depends_magnitude.sum()
        depends_response /= depends_response.sum()
    return np.concatenate([by_magnitude, by_response, depends_magnitude, depends_response])


def _responses(luma: Plane) -> tuple[Plane, Plane]:
    """Gradient magnitude and |Laplacian of Gaussian|, both divided by their local energy, border cut off."""
    squares = filtered(luma, _SMOOTH, _STEP) ** 2 + filtered(luma, _STEP, _SMOOTH) ** 2
    magnitude = np.sqrt(squares) / 2.5
    response = np.abs(sum(filtered(luma, down, right) for down, right in _LOG))
    energy = filtered((magnitude**2 + response**2) / 2, _DOWN, _RIGHT)
    normaliser = np.sqrt(energy) + _NORMALISER_FLOOR
    inside = (slice(_BORDER, -_BORDER), slice(_BORDER, -_BORDER))
    return (magnitude / normaliser)[inside], (response / normaliser)[inside]


def _joint_histogram(magnitude: Plane, response: Plane) -> Plane:
    """[BINS, BINS]: shares of the pixels; bin i holds (i, i + 1] * BIN_WIDTH, the last one all above."""
    first, second = (
        np.clip(np.ceil(plane / BIN_WIDTH), 1, BINS).astype(np.intp) - 1 for plane in (magnitude, response)
    )
    counts = np.bincount((first * BINS + second).ravel(), minlength=BINS * BINS).reshape(BINS, BINS)
    with np.errstate(invalid="ignore"):
        shares: Plane = counts / np.float64(first.size)
    return shares
