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
_SIDE = 17
_STEP = 16
_FIRST = 7
_SHIFTS = 6
_STRONG = 1e-4
_WIDEST = 1280


def high_features(y: Plane, u: Plane, v: Plane) -> Plane:
    """[6], NAMES, of a frame's planes [H, W], 0..255; never NaN."""
    colours = lab(y, u, v) / np.array([100, 50, 50])[:, None, None]
    steepness = np.zeros(y.shape)
    inside = (slice(1, -1), slice(1, -1))
    steepness[inside] = np.sqrt(np.square(np.stack(_sobel(colours))).sum(axis=(0, 1)))[inside]
    chroma = np.sqrt(np.square(colours[1:]).sum(axis=0).mean())
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
    across, down = _sobel(steepness)
    reach = _SIDE + _SHIFTS
    starts = [range(_FIRST, side - _STEP - _FIRST - 1, _STEP) for side in steepness.shape]
    if not all(starts):
        return 0.0, 0.0, 0.0
    blocks = [
        sliding_window_view(plane, (reach, reach))[starts[0].start : starts[0].stop : _STEP][
            :, starts[1].start : starts[1].stop : _STEP
        ].reshape(-1, reach, reach)
        for plane in (across, down)
    ]
    whole = slice(0, _SIDE)
    energy = sum(np.square(block[:, whole, whole]).mean(axis=(1, 2)) for block in blocks)
    strong = energy > _STRONG
    if not strong.any():
        return 0.0, 0.0, 0.0
    energy = energy[strong]
    x, y = (block[strong] for block in blocks)
    similar = np.empty((_SHIFTS, len(energy)))
    for k in range(1, _SHIFTS + 1):
        moved = slice(k, k + _SIDE)
        a, b = x[:, whole, whole], y[:, whole, whole]
        both = (a * x[:, moved, whole] + b * y[:, whole, moved]).mean(axis=(1, 2))
        both += 0.5 * (a * x[:, moved, moved] + b * y[:, moved, moved]).mean(axis=(1, 2))
        similar[k - 1] = both / energy
    similar /= np.where(similar[0] > 0, similar[0], 1)
    deviations = np.sqrt(np.square(x[:, whole, whole]) + np.square(y[:, whole, whole])).std(
        axis=(1, 2), ddof=1
    )
    even = deviations[deviations <= deviations.mean()]
    return float(similar[1:].mean()), float(similar[1].mean()), float(even.mean()) if len(even) else 0.0


def _sobel(planes: Plane) -> tuple[Plane, Plane]:
    """Slopes across and down [..., H, W], zero beyond the sides."""
    wide = np.pad(planes, [(0, 0)] * (planes.ndim - 2) + [(1, 1), (1, 1)])
    smooth = wide[..., :-2, :] + 2 * wide[..., 1:-1, :] + wide[..., 2:, :]
    across = (smooth[..., 2:] - smooth[..., :-2]) / 8
    smooth = wide[..., :-2] + 2 * wide[..., 1:-1] + wide[..., 2:]
    return across, (smooth[..., 2:, :] - smooth[..., :-2, :]) / 8
