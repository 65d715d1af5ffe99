"""How well scores agree with opinion scores, and predicted levels with true ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import kendalltau, rankdata

from evaluate.metrics.correlation import (
    Concordance,
    Ranking,
    Vector,
    drawn_pearson,
    drawn_spearman,
    pearson,
)
from evaluate.metrics.logistic import Logistic, fit_logistic
from evaluate.metrics.outliers import outlier_ratio
from evaluate.metrics.resampling import RESAMPLES, Interval, draws, percentile_interval, steady_order

_MOST_FOR_KRCC = 2000
"""Videos: Kendall's correlation of a thousand resamples takes time with their square."""


@dataclass(frozen=True)
class Metrics:
    """Agreement of scores with opinion scores; None where it is undefined, with the reason in `note`."""

    n: int
    srcc: float | None = None
    """Spearman's rank correlation (Spearman 1904)."""
    plcc_raw: float | None = None
    """Pearson's correlation of the scores as they are."""
    plcc: float | None = None
    """Pearson's correlation after the logistic map (evaluate.metrics.logistic)."""
    krcc: float | None = None
    """Kendall's rank correlation, tau-b (Kendall 1945)."""
    rmse: float | None = None
    """Root mean square error after the logistic map, in units of the opinion scores; of N errors, as papers
    divide, not N - 4 as ITU-T P.1401 does."""
    r2: float | None = None
    """Coefficient of determination after the logistic map: 1 - (sum of squared errors) / (that of the MOS
    around their mean), R² of regression (Draper and Smith 1998)."""
    outlier_ratio: float | None = None
    """Share of videos whose error after the logistic map exceeds the MOS' 95 % interval (ITU-T P.1401; see
    evaluate.metrics.outliers); None where the labels do not tell that interval."""
    note: str | None = None


@dataclass(frozen=True)
class Intervals:
    """Bootstrap 95 % intervals; None where the metric itself is undefined."""

    srcc: Interval | None = None
    plcc: Interval | None = None
    krcc: Interval | None = None
    """None, too, of more than 2,000 videos, where it would take long."""
    rmse: Interval | None = None


def score_metrics(mos: ArrayLike, scores: ArrayLike, ci95: ArrayLike | None = None) -> Metrics:
    """All score metrics of `[N]` scores against `[N]` opinion scores, in any units.

    `ci95`, `[N]` in units of the opinion scores, is half the 95 % interval of each, NaN where not known.
    The logistic map may fall: PLCC after it is positive for scores that rank videos upside down, which SRCC
    and `plcc_raw` show. The figures are those that ITU-T P.1401 and the Video Quality Experts Group judge
    models by. Raises ValueError for lengths that differ or opinion scores that are not finite.
    """
    y, x = _vectors(mos, scores)
    reason = _undefined(y, x)
    if reason is not None:
        return Metrics(len(y), note=reason)
    mapping = _mapping(x, y)
    mapped = _linear(x, y) if mapping is None else mapping(x)
    mean_square = float(np.mean((mapped - y) ** 2))
    return Metrics(
        n=len(y),
        srcc=pearson(rankdata(x), rankdata(y)),
        plcc_raw=pearson(x, y),
        plcc=pearson(x if mapping is None else mapped, y),
        krcc=float(kendalltau(x, y).statistic),
        rmse=mean_square**0.5,
        r2=1 - mean_square / float(y.var()),
        outlier_ratio=None if ci95 is None else outlier_ratio(y, mapped, ci95),
        note=None
        if mapping is not None
        else "the logistic fit did not converge: PLCC is of the raw scores, RMSE and R² after a linear fit",
    )


def logistic_of(mos: ArrayLike, scores: ArrayLike) -> Logistic | None:
    """The map behind `plcc` and `rmse`, for plots; None where there is none."""
    y, x = _vectors(mos, scores)
    return None if _undefined(y, x) is not None else _mapping(x, y)


def correlated(mos: ArrayLike, scores: ArrayLike) -> Vector | None:
    """`[N]` scores as PLCC takes them: after the logistic map, or as they are where there is none.

    None where correlations are undefined. Raises ValueError as `score_metrics` does.
    """
    y, x = _vectors(mos, scores)
    if _undefined(y, x) is not None:
        return None
    mapping = _mapping(x, y)
    return x if mapping is None else mapping(x)


def bootstrap_intervals(
    mos: ArrayLike,
    scores: ArrayLike,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Intervals:
    """Percentile intervals over seeded resamples of the videos (Efron and Tibshirani 1993).

    With the content group of each video, resamples of the groups (`evaluate.metrics.resampling`); of fewer
    than two groups there are none. The logistic map is fitted once, on all videos; PLCC and RMSE vary with
    the sample of videos only.
    """
    y, x = _vectors(mos, scores)
    if _undefined(y, x) is not None or (groups is not None and len({*groups}) < 2):
        return Intervals()
    order = steady_order(y, x)
    y, x = y[order], x[order]
    groups = None if groups is None else [groups[i] for i in order]
    mapping = _mapping(x, y)
    mapped = _linear(x, y) if mapping is None else mapping(x)
    by_rank, by_mos = Ranking(x), Ranking(y)
    concordance = Concordance(x, y) if len(y) <= _MOST_FOR_KRCC else None
    found: dict[str, list[Vector]] = {}
    for counts in draws(len(y), groups, resamples, seed):
        figures = {
            "srcc": drawn_spearman(by_rank, by_mos, counts),
            "plcc": drawn_pearson(x if mapping is None else mapped, y, counts),
            "rmse": np.sqrt(counts @ (mapped - y) ** 2 / counts.sum(axis=1)),
            **({} if concordance is None else {"krcc": concordance(counts)}),
        }
        for name, values in figures.items():
            found.setdefault(name, []).append(values)
    return Intervals(**{name: percentile_interval(np.concatenate(rows)) for name, rows in found.items()})


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


def _mapping(x: Vector, y: Vector) -> Logistic | None:
    """The fitted map; None where the fit fails or ends in a constant."""
    mapping = fit_logistic(x, y)
    return None if mapping is None or _constant(mapping(x)) else mapping


def _linear(x: Vector, y: Vector) -> Vector:
    slope = np.mean((x - x.mean()) * (y - y.mean())) / x.var()
    line: Vector = y.mean() + slope * (x - x.mean())
    return line
