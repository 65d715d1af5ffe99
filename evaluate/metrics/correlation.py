"""Correlations over many resamples at once, in which each video counts as often as it was drawn."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_LEAST_SCALE = 1e-12


def pearson(x: Vector, y: Vector) -> float:
    """Pearson's correlation of two `[N]` vectors (Pearson 1895); NaN where one is constant."""
    return float(drawn_pearson(x, y, np.ones((1, len(x))))[0])


def drawn_pearson(x: Vector, y: Vector, counts: Vector) -> Vector:
    """`[rows]` correlations of `[N]` values that count `[rows, N]` times; NaN where all drawn are equal."""
    x, y = x - x.mean(), y - y.mean()  # so that a large mean leaves digits for the differences
    sums = counts @ np.stack([x, y, x * x, y * y, x * y], axis=1) / counts.sum(axis=1, keepdims=True)
    mean_x, mean_y, xx, yy, xy = sums.T
    variances = (xx - mean_x**2).clip(0) * (yy - mean_y**2).clip(0)
    return _ratio(xy - mean_x * mean_y, np.sqrt(variances), _LEAST_SCALE * np.sqrt(xx * yy))


class Ranking:
    """Ranks of `[N]` values within resamples of them, which are sorted once for all."""

    def __init__(self, values: Vector) -> None:
        _, self._place = np.unique(values, return_inverse=True)
        self._order = np.argsort(self._place, kind="stable")
        self._starts = np.searchsorted(self._place[self._order], np.arange(self._place.max() + 1))

    def together(self, counts: Vector) -> Vector:
        """`[rows, different values]`: how often each value was drawn, given how often each video was."""
        sorted_counts = counts.take(self._order, axis=1)
        if len(self._starts) == counts.shape[1]:
            return sorted_counts
        return np.add.reduceat(sorted_counts, self._starts, axis=1)

    def within(self, drawn: Vector) -> Vector:
        """`[rows, N]` ranks from 1, equal values sharing their mean, given what `together` says."""
        ranks: Vector = (drawn.cumsum(axis=1) - (drawn - 1) / 2).take(self._place, axis=1)
        return ranks


def drawn_spearman(x: Ranking, y: Ranking, counts: Vector) -> Vector:
    """`[rows]` of Spearman's correlations with ties (Spearman 1904; Kendall 1945), as `drawn_pearson`."""
    drawn_x, drawn_y, videos = x.together(counts), y.together(counts), counts.sum(axis=1)
    product = np.einsum("rn,rn->r", counts * x.within(drawn_x), y.within(drawn_y))
    covariance = product - videos * ((videos + 1) / 2) ** 2
    # The sum of squared ranks around their mean, (n³ - n) / 12, falls by (t³ - t) / 12 for t equal values.
    squares = [(videos**3 - (drawn**3).sum(axis=1)) / 12 for drawn in (drawn_x, drawn_y)]
    return _ratio(covariance, np.sqrt(squares[0] * squares[1]))


class Concordance:
    """Kendall's tau-b (Kendall 1945) within resamples of `[N]` pairs; holds a matrix of N² signs."""

    def __init__(self, x: Vector, y: Vector) -> None:
        self._signs = (_signs(x) * _signs(y)).astype(np.float32)
        self._rankings = Ranking(x), Ranking(y)

    def __call__(self, counts: Vector) -> Vector:
        """`[rows]` correlations; NaN where all drawn are equal."""
        net = np.einsum("rn,rn->r", counts.astype(np.float32) @ self._signs, counts)
        total = counts.sum(axis=1) ** 2
        untied = [total - (ranking.together(counts) ** 2).sum(axis=1) for ranking in self._rankings]
        return _ratio(net, np.sqrt(untied[0] * untied[1]))


def _signs(values: Vector) -> NDArray[np.int8]:
    above = (values[:, None] > values).astype(np.int8)
    signs: NDArray[np.int8] = above - above.T
    return signs


def _ratio(product: Vector, scale: Vector, least: Vector | float = 0.0) -> Vector:
    correlation: Vector = np.divide(product, scale, out=np.full_like(scale, np.nan), where=scale > least)
    return correlation.clip(-1.0, 1.0)
