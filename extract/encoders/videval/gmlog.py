"""Joint statistics of gradient magnitude and Laplacian-of-Gaussian response.

Xue, Mou, Zhang, Bovik and Feng, "Blind Image Quality Assessment Using Joint Statistics of Gradient
Magnitude and Laplacian Features" (GM-LOG), IEEE Transactions on Image Processing, 2014.
"""

import numpy as np
from numpy.typing import NDArray

from extract.encoders.videval.bands import Plane, Taps, along_rows, bands, correlated, down_columns
from extract.encoders.videval.filters import gaussian_taps, magnitude

BINS = 10
BIN_WIDTH = 0.2
_SIGMA = 0.5
_REACH = 2
_ENERGY_REACH = 3
_BORDER = 2
_NORMALISER_FLOOR = 0.2
_MARGIN_FLOOR = 1e-4
_ENERGY = gaussian_taps(7, 1.0)
# More than any bin before the last one gathers those above: energy around a pixel has at least its own
# in it, with the window's middle weight of 0.159, so no quotient exceeds sqrt(2 / 0.159) = 18 * BIN_WIDTH.
_RAW_BINS = 32


def _steps() -> tuple[Taps, Taps]:
    """Two windows' factors: smooth, and the difference of neighbours, which makes the gradient / 2.5."""
    wider = np.array(gaussian_taps(7, _SIGMA))
    step = wider[1:6] - wider[2:7]
    smooth = wider[1:6] / wider[1:6].sum()
    return tuple(smooth.tolist()), tuple((step / np.abs(step).sum() / 2.5).tolist())


def _laplacian() -> tuple[Taps, Taps]:
    """(bent, level): the Laplacian of a Gaussian is bent x smooth + smooth x bent - level x 1.

    As MATLAB's `fspecial` makes it, it sums to zero; here its absolute values sum to 1.
    """
    across = np.arange(-2.0, 3.0)
    smooth = np.array(_SMOOTH)
    bent = smooth * (across**2 - _SIGMA**2)
    window = np.outer(bent, smooth) + np.outer(smooth, bent)
    level = window.mean()
    size = np.abs(window - level).sum()
    return tuple((bent / size).tolist()), (-level / size,) * 5


_SMOOTH, _STEP = _steps()
_BENT, _LEVEL = _laplacian()
_ONES: Taps = (1.0,) * 5


def gm_log(luma: Plane) -> NDArray[np.float64]:
    """[40] of luma [H, W] in 0..255: what share of the pixels lies in each bin of gradient magnitude
    [10] and of Laplacian response [10], then how far each bin of either depends on the other [10, 10].

    Without pixels inside the border, all are NaN.
    """
    counts = _joint_histogram(luma)  # [magnitude bin, response bin]
    with np.errstate(invalid="ignore"):
        joint = counts / counts.sum()
        by_magnitude, by_response = joint.sum(axis=1), joint.sum(axis=0)
        depends_magnitude = (joint / (by_response + _MARGIN_FLOOR)).sum(axis=1)
        depends_response = (joint / (by_magnitude + _MARGIN_FLOOR)[:, None]).sum(axis=0)
        depends_magnitude /= depends_magnitude.sum()
        depends_response /= depends_response.sum()
    return np.concatenate([by_magnitude, by_response, depends_magnitude, depends_response])


def _joint_histogram(luma: Plane) -> NDArray[np.int64]:
    """[BINS, BINS]: how many pixels inside the border have which magnitude and response, both normalised.

    Bin i holds what is above i * BIN_WIDTH up to the next, and the first and last all beyond.
    """
    height, width = luma.shape
    counts = np.zeros(_RAW_BINS**2, np.int64)
    for rows, band in bands(luma, _REACH + _ENERGY_REACH):
        steps, response = _responses(band)  # [rows + 2 * _ENERGY_REACH, W + 2 * _ENERGY_REACH]
        normaliser = _normaliser(steps, response, rows, height)  # [rows, W]
        pairs = np.ceil(_inner(steps) / normaliser)
        pairs *= _RAW_BINS
        pairs += np.ceil(_inner(response) / normaliser)
        counted = slice(max(_BORDER - rows.start, 0), max(min(rows.stop, height - _BORDER) - rows.start, 0))
        numbers = pairs[counted, _BORDER : width - _BORDER].astype(np.intp).ravel()
        counts += np.bincount(numbers, minlength=counts.size)
    raw = counts.reshape(_RAW_BINS, _RAW_BINS)
    for _ in range(2):  # either axis
        raw = raw.T
        raw = np.vstack([raw[0] + raw[1], raw[2:BINS], raw[BINS:].sum(axis=0)])
    return raw


def _responses(band: Plane) -> tuple[Plane, Plane]:
    """Gradient magnitude and |Laplacian of Gaussian| of a band, _REACH pixels smaller on all sides."""
    smooth = down_columns(band, _SMOOTH)
    steps = magnitude(along_rows(smooth, _STEP), correlated(band, _STEP, _SMOOTH))
    response = along_rows(smooth, _BENT)
    response += correlated(band, _BENT, _SMOOTH)
    response += correlated(band, _ONES, _LEVEL)
    return steps, np.abs(response, out=response)


def _normaliser(steps: Plane, response: Plane, rows: slice, height: int) -> Plane:
    """BIN_WIDTH times the root of the energy around each pixel; there is none outside of the picture."""
    energy = steps * steps
    energy += response * response
    energy[:, :_ENERGY_REACH] = energy[:, energy.shape[1] - _ENERGY_REACH :] = 0
    energy[: max(_ENERGY_REACH - rows.start, 0)] = 0
    energy[len(energy) - max(rows.stop + _ENERGY_REACH - height, 0) :] = 0
    around = correlated(energy, _ENERGY, _ENERGY)
    around /= 2 / BIN_WIDTH**2
    np.sqrt(around, out=around)
    around += _NORMALISER_FLOOR * BIN_WIDTH
    return around


def _inner(plane: Plane) -> Plane:
    return plane[_ENERGY_REACH : len(plane) - _ENERGY_REACH, _ENERGY_REACH:-_ENERGY_REACH]
