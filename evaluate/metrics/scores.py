"""How well scores agree with opinion scores, and predicted levels with true ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kendalltau, rankdata

from evaluate.metrics.logistic import Logistic, fit_logistic

Vector = NDArray[np.float64]
Interval = tuple[float, float]
_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Metrics:
    """Agreement of scores with opinion scores; None where it is undefined, with the reason in `note`."""

    n: int
    srcc: float | None = None
    """Spearman's rank correlation."""
    plcc_raw: float | None = None
    """Pearson's correlation of the scores as they are."""
    plcc: float | None = None
    """Pearson's correlation after the logistic map (evaluate.metrics.logistic)."""
    krcc: float | None = None
    """Kendall's rank correlation, tau-b."""
    rmse: float | None = None
    """Root mean square error after the logistic map, in units of the opinion scores."""
    note: str | None = None


@dataclass(frozen=True)
class Intervals:
    """Bootstrap 95 % intervals; None where the metric itself is undefined."""

    srcc: Interval | None = None
    plcc: Interval | None = None


def score_metrics(mos: ArrayLike, scores: ArrayLike) -> Metrics:
    """All score metrics of `[N]` scores against `[N]` opinion scores, in any units.

    The logistic map may fall: PLCC after it is positive for scores that rank videos upside down, which SRCC
    and `plcc_raw` show. Raises ValueError for lengths that differ or opinion scores that are not finite.
    """
    y, x = _vectors(mos, scores)
    reason = _undefined(y, x)
    if reason is not None:
        return Metrics(len(y), note=reason)
    mapping = fit_logistic(x, y)
    mapped = _linear(x, y) if mapping is None else mapping(x)
    if mapping is not None and _constant(mapped):
        mapping, mapped = None, _linear(x, y)
    raw = _pearson(x, y)
    return Metrics(
        n=len(y),
        srcc=_pearson(rankdata(x), rankdata(y)),
        plcc_raw=raw,
        plcc=raw if mapping is None else _pearson(mapped, y),
        krcc=float(kendalltau(x, y).statistic),
        rmse=float(np.sqrt(np.mean((mapped - y) ** 2))),
        note=None
        if mapping is not None
        else "the logistic fit did not converge: PLCC is of the raw scores, RMSE after a linear fit",
    )


def logistic_of(mos: ArrayLike, scores: ArrayLike) -> Logistic | None:
    """The map behind `plcc` and `rmse`, for plots; None where there is none."""
    y, x = _vectors(mos, scores)
    return None if _undefined(y, x) is not None else fit_logistic(x, y)


def bootstrap_intervals(mos: ArrayLike, scores: ArrayLike, resamples: int = 1000, seed: int = 0) -> Intervals:
    """Percentile intervals over seeded resamples of the videos.

    The logistic map is fitted once, on all videos; PLCC varies with the sample of videos only.
    """
    y, x = _vectors(mos, scores)
    if _undefined(y, x) is not None:
        return Intervals()
    order = np.lexsort((y, x))  # so that the videos' order does not change what is drawn
    y, x = y[order], x[order]
    mapping = fit_logistic(x, y)
    mapped = x if mapping is None else mapping(x)
    generator = np.random.default_rng(seed)
    srcc, plcc = [], []
    for first in range(0, resamples, _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, resamples - first)
        drawn = generator.integers(0, len(y), (rows, len(y)))  # [rows, N]
        srcc.append(_row_pearson(rankdata(x[drawn], axis=1), rankdata(y[drawn], axis=1)))
        plcc.append(_row_pearson(mapped[drawn], y[drawn]))
    return Intervals(_interval(np.concatenate(srcc)), _interval(np.concatenate(plcc)))


@dataclass(frozen=True)
class LevelAccuracy:
    """Shares of videos whose level was given correctly; None for a level that no video has."""

    n: int
    total: float | None
    classes: Mapping[str, float | None]
    confusion: Mapping[str, Mapping[str, int]]
    """True level → predicted level (or `none`, where no level was stated) → videos."""


def level_accuracy(
    truth: Sequence[str], predicted: Sequence[str | None], levels: Sequence[str]
) -> LevelAccuracy:
    """Accuracy per true level, or other word, and in total; a prediction of None counts as wrong.

    Raises ValueError for lengths that differ or a level that is not one of `levels`.
    """
    if len(truth) != len(predicted):
        raise ValueError(f"{len(truth)} true levels, but {len(predicted)} predicted ones")
    unknown = (set(truth) | set(predicted)) - {*levels, None}
    if unknown:
        raise ValueError(f"levels {sorted(map(str, unknown))} are none of {', '.join(levels)}")
    confusion = {level: dict.fromkeys((*levels, "none"), 0) for level in levels}
    for true, guess in zip(truth, predicted, strict=True):
        confusion[true]["none" if guess is None else guess] += 1
    right = {level: confusion[level][level] for level in levels}
    counts = {level: sum(confusion[level].values()) for level in levels}
    return LevelAccuracy(
        len(truth),
        sum(right.values()) / len(truth) if truth else None,
        {level: right[level] / counts[level] if counts[level] else None for level in levels},
        confusion,
    )


def _vectors(mos: ArrayLike, scores: ArrayLike) -> tuple[Vector, Vector]:
    y, x = np.asarray(mos, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if y.ndim != 1 or y.shape != x.shape:
        raise ValueError(f"expected as many scores as opinion scores, got shapes {x.shape} and {y.shape}")
    if not np.isfinite(y).all():
        raise ValueError("opinion scores must be finite numbers")
    return y, x


def _undefined(mos: Vector, scores: Vector) -> str | None:
    infinite = int((~np.isfinite(scores)).sum())
    if infinite:
        return f"{infinite} of {len(scores)} scores are not finite numbers"
    if len(mos) < 2:
        return f"a correlation needs at least two videos, found {len(mos)}"
    if _constant(scores):
        return "all scores are equal"
    return "all opinion scores are equal" if _constant(mos) else None


def _constant(values: Vector) -> bool:
    return bool(np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())))


def _linear(x: Vector, y: Vector) -> Vector:
    slope = np.mean((x - x.mean()) * (y - y.mean())) / x.var()
    line: Vector = y.mean() + slope * (x - x.mean())
    return line


def _pearson(x: Vector, y: Vector) -> float:
    return float(_row_pearson(x[None], y[None])[0])


def _row_pearson(x: Vector, y: Vector) -> Vector:
    """[rows] correlations of the rows of two [rows, N] arrays; NaN where a row is constant."""
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    product = (x * y).sum(axis=1)
    correlation: Vector = np.divide(product, scale, out=np.full_like(product, np.nan), where=scale > 0)
    return correlation.clip(-1.0, 1.0)


def _interval(values: Vector) -> Interval | None:
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
