"""Bootstrap resamples of videos, or of whole content groups, and intervals from them."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Interval = tuple[float, float]
RESAMPLES = 1000
_ROWS_AT_ONCE = 64


def draws(
    videos: int, groups: Sequence[str] | None = None, number: int = RESAMPLES, seed: int = 0
) -> Iterator[Vector]:
    """`[rows, videos]`, `number` rows in all: how often each video is drawn (Efron and Tibshirani 1993).

    With the content group of each video, as many groups are drawn as there are, each with all its videos
    (cluster bootstrap: Davison and Hinkley 1997, section 3.8): videos of one content resemble each other, and
    drawn singly they would make intervals too narrow. Raises ValueError where groups and videos are not as
    many.
    """
    places = np.arange(videos) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if len(places) != videos:
        raise ValueError(f"{len(places)} content groups for {videos} videos: expected one for each")
    units, generator = int(places.max()) + 1, np.random.default_rng(seed)
    for first in range(0, number, _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, number - first)
        drawn = generator.integers(0, units, (rows, units)) + units * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)
        yield counts[:, places].astype(np.float64)


def percentile_interval(values: Vector) -> Interval | None:
    """The middle 95 % of a figure over resamples; None where it is defined in none of them."""
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def steady_order(mos: Vector, *scores: Vector) -> NDArray[np.intp]:
    """An order of the videos by their values alone, so that a file's order does not change what is drawn.

    Nor does the order of the models whose scores are given.
    """
    return np.lexsort((*np.sort(np.array(scores), axis=0), mos))
