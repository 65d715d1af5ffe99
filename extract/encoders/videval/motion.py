"""Motion, its evenness and flicker between three frames: TLVQM's low-complexity features.

Korhonen, "Two-Level Approach for No-Reference Consumer Video Quality Assessment", IEEE TIP 2019, III.A;
those that VIDEVAL (Tu et al., IEEE TIP 2021) keeps.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from extract.encoders.videval.keypoints import key_points
from extract.encoders.videval.matching import Gradients, Match, matches
from extract.encoders.videval.resize import imresize

Plane = NDArray[np.float64]

NAMES = ("lcf1", "lcf5", "lcf12", "lcf16", "lcf18", "lcf19", "lcf22")
_BORDER = 4
_CHANGE = 1.01
_LEAST_STEP = 2 / 255
_LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class HalfPicture:
    """What is compared of a frame. Its planes are half as large, and have their columns first."""

    width: int  # of the whole frame
    luma: Plane  # [W, H], 0..1
    gradients: Gradients


def prepared(luma: Plane) -> HalfPicture:
    """Of luma [H, W], 0..255. Worth keeping: a frame is compared in up to three triples of frames."""
    half = np.ascontiguousarray(imresize(luma / 255, 0.5).T)
    return HalfPicture(luma.shape[1], half, Gradients.of(_sobel(half)))


def stands_still(now: HalfPicture, after: HalfPicture) -> bool:
    """Whether the next frame shows the same picture, but for what coding it again changes.

    No more than a thousandth of the pixels then change by over two of 255 grey levels. Of camera clips
    hardly a pair is so alike, for their noise moves; of frozen ones all are. Ours, not VIDEVAL's.
    """
    return bool((np.abs(now.luma - after.luma) > _LEAST_STEP).mean() <= _LEAST_SHARE)


def motion_features(before: HalfPicture, now: HalfPicture, after: HalfPicture) -> Plane:
    """[7], NAMES, of the frame `now` among its neighbours; never NaN.

    Displacements are in units of the search range, a 40th of the frame's width (at least one pixel).
    """
    reach = max(1, now.width // 40)
    columns, rows = key_points(now.luma, reach)
    slopes = np.zeros_like(now.gradients.slopes)
    inside = (slice(None), slice(_BORDER, -_BORDER), slice(_BORDER, -_BORDER))
    slopes[inside] = now.gradients.slopes[inside]
    changes = np.abs(now.luma - before.luma), np.abs(now.luma - after.luma)
    features = np.zeros(7)
    features[2] = _deviation(np.sqrt(np.square(slopes).sum(axis=0))) ** 0.25
    features[4] = ((changes[0].mean() + changes[1].mean()) / 2) ** 0.25
    features[5] = 0.5
    static = np.ones(now.luma.shape, bool)
    if len(columns):
        backward, forward = matches(before.gradients, slopes, after.gradients, (columns, rows), reach)
        features[[0, 1, 3, 5]] = _motion(backward, forward, reach, now.luma.shape)
        _mark_moving(static, columns, rows, (backward, forward), reach)
    features[6] = _flicker(changes, static)
    return features


def _motion(
    backward: Match, forward: Match, reach: int, shape: tuple[int, ...]
) -> tuple[float, float, float, float]:
    """How much motion there is, how unlike in the background, how jerky, and how far down on the average."""
    vectors = np.stack([-backward.down, -backward.right, forward.down, forward.right]).astype(np.float64)
    strength = np.sqrt(np.square(vectors / reach).sum(axis=0) / 4)
    total = strength.sum()
    amount = (total / (shape[0] / reach * (shape[1] / reach))) ** 0.25
    background = np.ones(len(strength), bool)
    for mean in (0.5 * (vectors[0] + vectors[2]), 0.5 * (vectors[1] + vectors[3])):
        centre, deviation = mean.mean(), _deviation(mean)
        background &= (mean > centre - deviation) & (mean < centre + deviation)
    unlike = _deviation(strength[background])
    if total == 0:
        return amount, unlike, 0.0, 0.5
    turns = np.hypot(0.5 * (vectors[0] - vectors[2]) / reach, 0.5 * (vectors[1] - vectors[3]) / reach)
    downward = (0.25 * (vectors[0] + vectors[2]) / reach + 0.5).mean()
    return amount, unlike, float(np.sqrt(turns).mean()), float(downward)


def _mark_moving(
    static: NDArray[np.bool_],
    columns: NDArray[np.intp],
    rows: NDArray[np.intp],
    found: tuple[Match, Match],
    reach: int,
) -> None:
    """Take out of the static area the surroundings of points that moved, where they are, were and will be."""
    moving = np.zeros(len(columns), bool)
    for match in found:
        away = (match.right != 0) | (match.down != 0)
        moving |= (match.still_cost > _CHANGE * match.cost) & away
    nowhere = np.zeros_like(columns)
    for right, down in [(nowhere, nowhere)] + [(match.right, match.down) for match in found]:
        corners = np.stack([columns + right - reach, rows + down - reach])[:, moving].clip(0).T
        ends = np.stack([columns + right + reach, rows + down + reach])[:, moving].T + 1
        for (left, top), (end, bottom) in zip(corners.tolist(), ends.tolist(), strict=True):
            static[left:end, top:bottom] = False


def _flicker(changes: tuple[Plane, Plane], static: NDArray[np.bool_]) -> float:
    """How unevenly the static area changes from frame to frame."""
    size = np.count_nonzero(static)
    if not size:
        return 0.0
    backward, forward = (change[static] for change in changes)
    usual = 0.5 * (backward.sum() + forward.sum()) / size
    return float(np.abs(np.maximum(backward, forward) - usual).sum() / size)


def _sobel(luma: Plane) -> Plane:
    """[2, W, H]: slopes down and right, zero beyond the sides."""
    wide = np.pad(luma, 1)
    smooth = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    down = smooth[:, 2:] - smooth[:, :-2]
    smooth = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    return np.stack([down, smooth[2:] - smooth[:-2]]) / 8


def _deviation(values: Plane) -> float:
    """Of a sample, zero for fewer than two values."""
    return float(values.std(ddof=1)) if values.size > 1 else 0.0
