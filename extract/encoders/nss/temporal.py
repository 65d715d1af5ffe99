"""What the luma pictures of a chunk show of change, motion, standstill, and flicker."""

from collections.abc import Mapping
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from extract.encoders.nss.spatial import OCTAVES, pyramid, tile_energies
from extract.encoders.nss.statistics import (
    Features,
    half,
    large_enough,
    log_of,
    natural_scene_features,
    normalised,
)

_EXACT = 0.02
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_LEVEL_FLOOR = 0.02


def temporal_features(frames: Mapping[str, NDArray[np.uint8]]) -> Features:
    """Statistics of the difference of two `key` frames, and of motion over the `row` and the `spread`."""
    first, second = (large_enough(luma) for luma in frames["key"])
    change = second - first
    features: Features = {}
    for scale, level in enumerate((change, half(change))):
        features |= natural_scene_features(normalised(level)[0], f"change{scale}")
    energies, still = tile_energies(pyramid(change)), tile_energies(pyramid(first))
    for octave in range(OCTAVES):
        least, middle = np.quantile(energies[:, octave], (0.1, 0.5))
        features[f"change_octave{octave}_least"] = log_of(float(least), 0.01)
        features[f"change_octave{octave}"] = log_of(float(middle), 0.01)
        share = np.log((energies[:, octave] + 0.01) / (still[:, octave] + 0.01))
        features[f"change_octave{octave}_share"] = float(np.median(share))
    for name in ("row", "spread"):
        features |= motion_features(frames[name], name)
    return features | flicker_features(frames["spread"], "spread")


def motion_features(frames: NDArray[np.uint8], prefix: str) -> Features:
    """Differences between successive pictures [n, H, W], n at least 3: size, rhythm and standstill."""
    planes = frames.astype(np.int16)
    changes = np.abs(np.diff(planes, axis=0))  # [n - 1, H, W]
    sizes = changes.mean(axis=(1, 2), dtype=np.float64)
    moved = (changes > 1).mean(axis=(1, 2))
    some = planes[:: max(1, len(planes) // 3)]
    gradient = float(sum(np.abs(np.diff(some, axis=axis)).mean() for axis in (1, 2) if some.shape[axis] > 1))
    usual = float(np.quantile(sizes, 0.75))
    features = {
        f"size_q{share}": log_of(float(np.quantile(sizes, share)), _LEVEL_FLOOR) for share in _QUANTILES
    }
    features |= {f"moved_q{share}": float(np.quantile(moved, share)) ** 0.5 for share in (0.1, 0.5, 0.9)}
    features["size_to_gradient"] = log_of(usual, _LEVEL_FLOOR) - log_of(gradient, 0.1)
    features["peak_to_usual"] = log_of(float(sizes.max()), 0.05) - log_of(usual, 0.05)
    features["least_to_usual"] = log_of(float(sizes.min()), 0.05) - log_of(usual, 0.05)
    features["middle_to_usual"] = log_of(float(np.median(sizes)), 0.05) - log_of(usual, 0.05)
    features |= standstill_features(sizes)
    # Noise makes it large against the first difference, even motion small.
    bent = float(np.abs(planes[2:] - 2 * planes[1:-1] + planes[:-2]).mean())
    features["second_difference"] = log_of(bent, 0.05) - log_of(usual, 0.05)
    return {f"{prefix}_{name}": value for name, value in features.items()}


def standstill_features(sizes: NDArray[np.float64]) -> Features:
    """Repeated pictures, from the mean absolute difference of each picture to the one before, [n].

    An encoder makes a repeated picture exactly or nearly the same, which is far below the differences
    that motion or the camera's noise makes elsewhere in the same second: hence a limit of either kind.
    """
    exact = sizes < _EXACT
    near = sizes < max(0.12 * float(np.quantile(sizes, 0.9)), 0.05)
    jumps = np.diff(near.astype(np.int8))
    after = sizes[1:][jumps == -1]
    return {
        "exact_share": float(exact.mean()),
        "near_share": float(near.mean()),
        "near_root": float(near.mean()) ** 0.5,
        "longest_standstill": max(int(sum(run)) for _, run in groupby(near)) / len(sizes),
        "standstills": float((jumps == 1).sum() + near[0]) ** 0.5,
        "jump": log_of(float(after.mean()) if after.size else 0.0, 0.05),
    }


def flicker_features(frames: NDArray[np.uint8], prefix: str) -> Features:
    """Changes of brightness and of sharpness over [n, H, W]."""
    planes = frames.astype(np.float32)
    means = planes.mean(axis=(1, 2))
    edges = np.diff(planes, axis=2, append=planes[:, :, -1:])
    sharpness = np.log(np.abs(edges).mean(axis=(1, 2)) + 0.1)
    features = {
        "brightness_steps": log_of(float(np.abs(np.diff(means)).mean()), _LEVEL_FLOOR),
        "brightness_range": log_of(float(np.ptp(means)), 0.1),
        "sharpness_steps": log_of(float(np.abs(np.diff(sharpness)).mean()), 1e-3),
        "sharpness_range": log_of(float(np.ptp(sharpness)), 1e-2),
    }
    return {f"{prefix}_{name}": value for name, value in features.items()}
