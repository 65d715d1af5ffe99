"""Statistics of change: between two neighbouring frames, and along the frames of a chunk."""

import numpy as np
from numpy.typing import NDArray

from extract.encoders.nss_statistics import Plane, bands, ggd, mscn, noise_response, patch_means

FROZEN_LEVEL = 0.03
"""Mean absolute difference, in grey levels, below which two frames are the same picture."""
FROZEN_SHARE = 0.15
"""As a share of the chunk's large differences: re-encoding leaves this much change in a repeated frame."""
FROZEN_LIMIT = 1.0
"""Grey levels above which no frame counts as frozen, however much the others move."""


def pair_features(first: Plane, second: Plane) -> dict[str, float]:
    """Statistics of the difference of two neighbouring frames [H, W], as in V-BLIINDS and TLVQM."""
    difference = second - first
    absolute = np.abs(difference)
    shape, deviation = ggd(difference)
    normal_shape, normal_deviation = ggd(mscn(difference)[0])
    fine, coarse = (float(band.mean()) for band in bands(difference, 2))
    noise = patch_means(noise_response(difference))
    return {
        "pair_shape": np.log(shape),
        "pair_deviation": np.log(deviation + 0.1),
        "pair_mscn_shape": np.log(normal_shape),
        "pair_mscn_deviation": np.log(normal_deviation + 0.05),
        "pair_slope": np.log((fine + 0.02) / (coarse + 0.02)),
        "pair_noise": np.log(float(np.quantile(noise, 0.1)) + 0.05),
        "pair_unchanged": float(np.mean(absolute < 0.5)),
        "pair_blocks_unchanged": float(np.mean(patch_means(absolute, 8) < 0.1)),
    }


def motion_features(frames: NDArray[np.uint8]) -> dict[str, float]:
    """Motion energy, its evenness, and freezes, from uint8 [T, H, W].

    A second with fewer frames than were asked for repeats its last one. One repeat at the end is therefore
    not counted as a freeze (23.976 frames per second); more are, as so low a frame rate is seen as one.
    """
    levels = frames.astype(np.int16)
    changes = np.abs(np.diff(levels, axis=0)).mean(axis=(1, 2), dtype=np.float64)  # [T - 1]
    if changes.size > 1 and changes[-1] == 0:
        changes = changes[:-1]
    if changes.size == 0:
        changes = np.zeros(1)
    frozen = frozen_steps(changes)
    moving = changes[~frozen] if not frozen.all() else changes
    low, middle, high = np.quantile(changes, [0.1, 0.5, 0.9])
    ordinary = float(np.median(moving))
    return {
        "motion_mean": np.log(changes.mean() + 0.1),
        "motion_median": np.log(middle + 0.1),
        "motion_moving": np.log(ordinary + 0.1),
        "motion_spread": float(np.std(np.log(changes + 0.1))),
        "motion_evenness": np.log((middle + 0.1) / (changes.max() + 0.1)),
        "motion_low_share": np.log((low + 0.1) / (high + 0.1)),
        "motion_jerk": np.log(
            (np.abs(np.diff(changes)).mean() if changes.size > 1 else 0.0) / (ordinary + 0.1) + 0.05
        ),
        "motion_peak": np.log((changes.max() + 0.1) / (ordinary + 0.1)),
        "frozen_share": float(frozen.mean()),
        "frozen_longest": _longest_run(frozen) / frozen.size,
        "frozen_at_end": float(np.argmin(frozen[::-1]) if not frozen.all() else frozen.size) / frozen.size,
        "flicker": np.log(float(np.std(levels.mean(axis=(1, 2)))) + 0.1),
    }


def frozen_steps(changes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which mean absolute differences [T - 1] repeat a picture rather than move on.

    Identical pictures always do; nearly identical ones where the chunk's other differences are far larger.
    """
    ordinary = float(np.quantile(changes, 0.9))
    result: NDArray[np.bool_] = changes < max(FROZEN_LEVEL, min(FROZEN_SHARE * ordinary, FROZEN_LIMIT))
    return result


def _longest_run(flags: NDArray[np.bool_]) -> int:
    ends = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((ends[1::2] - ends[::2]).max()) if ends.size else 0
