"""From the numbers of frames to those of seconds and of the video (Tu et al., IEEE TIP 2021).

Three families describe the sampled frames: the luma, chroma and motion numbers, 50 in all. Means and
deviations over about a second of some of them, and a sixth of numbers of single frames, make the 60 features.
"""

import numpy as np
from numpy.typing import NDArray

from extract.encoders.videval import chroma, high, motion

Numbers = NDArray[np.float64]


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FRAME_NAMES = (
    *_names("br5 br9 br23 br29 gm2 gm4 gm8 gm18 gm20 gm23 gm34 gm40 hg3 hg13 hg14 hg16 hg21 hg28 hg30 hg33"),
    *_names("fl5 fl8 fl27 fl32 fl58 fl62 fl66 fl68 fl70 fl71 fl72"),
    *chroma.NAMES,
    *motion.NAMES,
)
"""Of a sampled frame: BRISQUE, GM-LOG, HIGRADE, FRIQUEE's luma, chroma and LMS, TLVQM's low complexity."""

_MEANS = _names(
    "br9 br23 br29 gm8 gm20 gm23 gm40 hg3 hg13 hg14 hg16 hg21 hg28 hg30 hg33 fl58 fl66 fl70 fl71 "
    "fc4 fc15 fc24 fc26 fc47 fc60 fc62 fc72 fc73 fc79 lms52 lcf1 lcf5 lcf12 lcf16 lcf18"
)
_DEVIATIONS = _names(
    "br5 gm2 gm4 gm18 gm34 gm40 hg21 fl5 fl8 fl27 fl32 fl62 fl68 fl70 fl72 fc7 lcf5 lcf19 lcf22"
)
NAMES = (*(f"m_{name}" for name in _MEANS), *(f"s_{name}" for name in _DEVIATIONS), *high.NAMES)
"""Of the 60 features, in the order of the published matrices."""

_MEAN_COLUMNS = [FRAME_NAMES.index(name) for name in _MEANS]
_DEVIATION_COLUMNS = [FRAME_NAMES.index(name) for name in _DEVIATIONS]


def seconds(rows: Numbers, high_rows: Numbers, block: int) -> Numbers:
    """[K, 60], whose plain mean over K is the feature vector of the video.

    rows [n, 50]: of the sampled frames. Blocks of `block` + 1 of them, which share one with the next, are a
    second each; what is left at the end is not used. Where there is no whole block, all rows are one.
    high_rows [m, 6]: the m-th belongs to the m-th second. K is the larger of the two numbers of seconds.
    Whatever a second lacks, because it is NaN or there is none, is the mean over those that have it.
    """
    blocks = np.stack([_pooled(rows[part]) for part in _blocks(len(rows), block)])  # [blocks, 54]
    features = np.full((max(len(blocks), len(high_rows)), len(NAMES)), np.nan)
    features[: len(blocks), : blocks.shape[1]] = blocks
    features[: len(high_rows), blocks.shape[1] :] = high_rows
    return filled(features)


def still_shares(still: Numbers, block: int, count: int) -> Numbers:
    """[count, 1]: the share of a second's sampled frames, still [n] of 0 and 1, that stand still.

    The seconds are those of `seconds`, which gives `count`; one without sampled frames has the others' mean.
    """
    shares = np.full((count, 1), np.nan)
    blocks = [still[part].mean() for part in _blocks(len(still), block)]
    shares[: len(blocks), 0] = blocks
    return filled(shares)


def _blocks(rows: int, block: int) -> list[slice]:
    """The rows of each second."""
    starts = range(0, rows - block, block) or range(1)
    return [slice(start, start + block + 1) for start in starts]


def filled(values: Numbers) -> Numbers:
    """[n, c] with each column's NaN replaced by the mean of its others.

    A column without others, or whose mean is infinite, is 0, as VIDEVAL's models have been trained.
    """
    means = nan_mean(values)
    whole = np.where(np.isnan(values), means, values)
    return np.where(np.isfinite(means), whole, 0.0)


def nan_mean(values: Numbers) -> Numbers:
    """[c]: the mean of each column of [n, c] without its NaN; NaN where nothing is left."""
    counts = np.sum(~np.isnan(values), axis=0)
    with np.errstate(invalid="ignore"):  # 0 / 0, and infinities of both signs
        means: Numbers = np.nansum(values, axis=0) / counts
    return means


def nan_deviation(values: Numbers) -> Numbers:
    """[c]: the deviation (n - 1) of each column of [n, c] without its NaN; of a single number, 0."""
    counts = np.sum(~np.isnan(values), axis=0)
    with np.errstate(invalid="ignore"):
        squares = np.square(values - nan_mean(values))
        deviations: Numbers = np.sqrt(nan_mean(squares) * counts / np.maximum(counts - 1, 1))
    return deviations


def _pooled(rows: Numbers) -> Numbers:
    """[54] of a block: 35 means, 19 deviations."""
    return np.concatenate([nan_mean(rows[:, _MEAN_COLUMNS]), nan_deviation(rows[:, _DEVIATION_COLUMNS])])
