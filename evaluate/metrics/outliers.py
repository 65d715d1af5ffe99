"""Outlier ratio of Recommendation ITU-T P.1401: errors that opinion scores' uncertainty does not explain."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Vector = NDArray[np.float64]


def ci95(std: float | None, raters: int | None) -> float | None:
    """Half the 95 % confidence interval of a MOS: t(0.975, M - 1) · σ / √M, as ITU-T P.1401 takes it.

    σ is the standard deviation of the M single opinions, in units of the MOS; t is Student's, which tends to
    the normal 1.96 for many. None where either is not known, or fewer than two people gave an opinion.
    """
    if std is None or raters is None or raters < 2:
        return None
    return float(stdtrit(raters - 1, 0.975)) * std / math.sqrt(raters)


def outlier_ratio(mos: Vector, mapped: Vector, halves: ArrayLike) -> float | None:
    """Share of videos with |mapped score - MOS| above half the MOS' 95 % interval (ITU-T P.1401).

    As 7.5.2.2 of the edition of 01/2020 has it.

    `halves` is `[N]`, in units of the MOS, NaN where it is not known: such videos do not count. None where it
    is known of none. Raises ValueError where they are not as many as the scores.
    """
    limits = np.asarray(halves, dtype=np.float64)
    if limits.shape != mos.shape:
        raise ValueError(f"expected {len(mos)} halves of intervals, got the shape {limits.shape}")
    known = np.isfinite(limits)
    return float(np.mean(np.abs(mapped - mos)[known] > limits[known])) if known.any() else None
