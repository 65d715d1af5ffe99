"""Whether one model agrees better with opinion scores than another does on the same videos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr
from scipy.stats import rankdata

from evaluate.metrics.correlation import Ranking, Vector, drawn_pearson, drawn_spearman, pearson
from evaluate.metrics.resampling import RESAMPLES, Interval, draws, percentile_interval, steady_order
from evaluate.metrics.scores import correlated

LEVEL = 0.05
"""Of significance."""


@dataclass(frozen=True)
class Williams:
    """Williams' test of two correlations that share the opinion scores."""

    t: float
    """Above 0 where the first correlation is the greater."""
    df: int
    p: float
    """Two-sided."""


@dataclass(frozen=True)
class Difference:
    """Of two models' correlations with the same opinion scores; None where one of them is undefined."""

    value: float | None = None
    """The first model's less the second's."""
    williams: Williams | None = None
    """None of fewer than four videos, too."""
    interval: Interval | None = None
    """95 % interval of the value, by bootstrap."""


@dataclass(frozen=True)
class Pair:
    """Two models on the same videos."""

    first: str
    second: str
    srcc: Difference
    plcc: Difference
    """After each model's logistic map."""
    p_adjusted: float | None = None
    """Williams' p of the SRCC, adjusted for the number of pairs (`holm`)."""

    @property
    def better(self) -> str | None:
        """The significantly better model by SRCC; None where neither is.

        Both must say so: the adjusted p lies below 0.05, and the bootstrap interval leaves out 0. Williams'
        test takes videos for independent; where contents repeat, the interval over groups is the stricter.
        """
        if self.p_adjusted is None or self.p_adjusted >= LEVEL or self.srcc.interval is None:
            return None
        low, high = self.srcc.interval
        return self.first if low > 0 else self.second if high < 0 else None


def williams_test(first: float, second: float, between: float, videos: int) -> Williams | None:
    """Whether two dependent correlations that share a variable differ.

    `first` and `second` are two models' correlations with the opinion scores, `between` that of the models
    with each other. The test of Williams (J. R. Stat. Soc. B 21, 1959) in the form of Steiger (Psychological
    Bulletin 87, 1980, equation 7):

        t = (r1 - r2) √((n - 1)(1 + r12) / (2 |R| (n - 1)/(n - 3) + (r1 + r2)² (1 - r12)³ / 4)), df = n - 3,

    with |R| = 1 - r1² - r2² - r12² + 2 r1 r2 r12. It is made for Pearson's correlation of normal variables;
    of ranks it is an approximation. None of fewer than four videos.
    """
    if videos < 4:
        return None
    determinant = max(0.0, 1 - first**2 - second**2 - between**2 + 2 * first * second * between)
    spread = 2 * determinant * (videos - 1) / (videos - 3) + (first + second) ** 2 / 4 * (1 - between) ** 3
    difference = first - second
    if abs(difference) <= 1e-12:
        return Williams(0.0, videos - 3, 1.0)
    over, under = (videos - 1) * (1 + between), spread
    if 1 + between <= 1e-12:  # opposite models, r1 = -r2: both vanish, and this is the limit of their ratio
        over, under = videos - 3, 4 * max(0.0, 1 - first**2)
    with np.errstate(divide="ignore"):
        t = float(difference * np.sqrt(np.divide(over, under)))
    return Williams(t, videos - 3, float(2 * stdtr(videos - 3, -abs(t))))


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p values adjusted for their number, in their order (Holm, Scand. J. Statist. 6, 1979); None stays.

    The chance that any true null hypothesis is rejected at 0.05 stays below that.
    """
    known = sorted((p, place) for place, p in enumerate(values) if p is not None)
    adjusted, least = list(values), 0.0
    for rank, (p, place) in enumerate(known):
        least = max(least, min(1.0, p * (len(known) - rank)))
        adjusted[place] = least
    return adjusted


def compare_pairs(
    mos: ArrayLike,
    scores: Mapping[str, ArrayLike],
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Pair]:
    """Every two models, in the order of `scores`: `[N]` scores by model, of the same `[N]` videos.

    Williams' test and a paired bootstrap, whose resamples of videos (of content groups, where they are given)
    are the same for all models. Raises ValueError as `score_metrics` does.
    """
    y = np.asarray(mos, dtype=np.float64)
    mapped = {name: correlated(mos, each) for name, each in scores.items()}
    defined = {name: np.asarray(scores[name], np.float64) for name, x in mapped.items() if x is not None}
    after = {name: x for name, x in mapped.items() if x is not None}
    drawn = _drawn(y, defined, after, groups, resamples, seed)
    ranks, ranked_mos = {name: rankdata(x) for name, x in defined.items()}, rankdata(y)
    pairs = [
        Pair(
            first,
            second,
            _difference(ranked_mos, ranks, first, second, [srcc for srcc, _ in drawn]),
            _difference(y, after, first, second, [plcc for _, plcc in drawn]),
        )
        for first, second in combinations(scores, 2)
    ]
    adjusted = holm([None if each.srcc.williams is None else each.srcc.williams.p for each in pairs])
    return [Pair(p.first, p.second, p.srcc, p.plcc, q) for p, q in zip(pairs, adjusted, strict=True)]


def _drawn(
    y: Vector,
    scores: Mapping[str, Vector],
    mapped: Mapping[str, Vector],
    groups: Sequence[str] | None,
    resamples: int,
    seed: int,
) -> list[tuple[dict[str, Vector], dict[str, Vector]]]:
    """SRCC and PLCC by model over the same resamples, a few rows at a time."""
    if len(scores) < 2 or (groups is not None and len({*groups}) < 2):
        return []
    order = steady_order(y, *scores.values())
    y, by_mos = y[order], Ranking(y[order])
    rankings = {name: Ranking(x[order]) for name, x in scores.items()}
    ordered = None if groups is None else [groups[i] for i in order]
    found = []
    for counts in draws(len(y), ordered, resamples, seed):
        srcc = {name: drawn_spearman(ranking, by_mos, counts) for name, ranking in rankings.items()}
        found.append((srcc, {name: drawn_pearson(x[order], y, counts) for name, x in mapped.items()}))
    return found


def _difference(
    mos: Vector,
    scores: Mapping[str, Vector],
    first: str,
    second: str,
    drawn: Sequence[Mapping[str, Vector]],
) -> Difference:
    if first not in scores or second not in scores:
        return Difference()
    one, other = pearson(scores[first], mos), pearson(scores[second], mos)
    between = pearson(scores[first], scores[second])
    differences = [each[first] - each[second] for each in drawn]
    return Difference(
        one - other,
        williams_test(one, other, between, len(mos)),
        percentile_interval(np.concatenate(differences)) if differences else None,
    )
