"""Where the surroundings of key points lie in the frames before and after: TLVQM's block matching.

Korhonen 2019, III.A. Pictures have their columns first: of equal places the first, column by column, counts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Plane = NDArray[np.float64]
Indices = NDArray[np.intp]

STILL_COST = 0.005
_SLACK = 1e-12  # more than rounding makes of the costs


@dataclass(frozen=True)
class Match:
    """Of N key points in another frame: how far right and down they went, and what remains different."""

    right: Indices  # [N] pixels
    down: Indices  # [N] pixels
    cost: Plane  # [N] at that place
    still_cost: Plane  # [N] at the key point's own place


@dataclass(frozen=True)
class Gradients:
    """Of a picture: slopes down and right [2, W, H], and their sums over 3x3 pixels [2, W - 2, H - 2]."""

    slopes: Plane
    sums: Plane

    @classmethod
    def of(cls, slopes: Plane) -> "Gradients":
        columns = slopes[:, :-2] + slopes[:, 1:-1] + slopes[:, 2:]
        return cls(slopes, columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:])


def matches(
    before: Gradients, now: Plane, after: Gradients, points: tuple[Indices, Indices], reach: int
) -> tuple[Match, Match]:
    """Match of this frame's key points in the frames before and after.

    `now` are this frame's slopes [2, W, H]; `points` are columns and rows [N] at least reach + 1 pixels
    from the sides. Costs are sums of squared differences over 3x3 pixels of both slopes.
    """
    columns, rows = points
    patches = sliding_window_view(now, (3, 3), axis=(1, 2))[:, columns - 1, rows - 1]  # [2, N, 3, 3]
    patches = np.ascontiguousarray(patches.transpose(2, 3, 0, 1))  # [3, 3, 2, N]
    found = []
    for other in (before, after):
        still_cost = _costs(other, patches, np.arange(len(columns)), points)
        match = Match(np.zeros_like(columns), np.zeros_like(rows), still_cost.copy(), still_cost)
        searched = np.flatnonzero(still_cost > STILL_COST)
        if len(searched):
            search = _Search(other, patches[..., searched], columns[searched], rows[searched], reach)
            chosen = search.chosen(after, still_cost[searched])
            match.right[searched], match.down[searched], match.cost[searched] = chosen
        found.append(match)
    return found[0], found[1]


def _costs(
    other: Gradients,
    patches: Plane,
    point: Indices,
    places: tuple[Indices, Indices],
    limits: Plane | None = None,
) -> Plane:
    """[M]: cost of patches [3, 3, 2, N], each in `point` [M], at columns and rows [M].

    Infinite where it exceeds the limit [M]. Sums over a column of the patch are enough to leave out most.
    """
    height = other.slopes.shape[2]
    slopes = other.slopes.reshape(2, -1)
    kept = np.arange(len(point))
    start = (places[0] - 1) * height + places[1] - 1
    total = np.zeros(len(point))
    for right in range(3):
        for down, kind in np.ndindex(3, 2):
            difference = slopes[kind].take(start + (right * height + down))
            difference -= patches[right, down, kind].take(point)
            total += np.multiply(difference, difference, out=difference)
        if limits is not None:
            near = np.flatnonzero(total <= limits)
            kept, start, point = kept[near], start[near], point[near]
            total, limits = total[near], limits[near]
    costs = np.full(len(places[0]), np.inf)
    costs[kept] = total
    return costs


class _Search:
    """The search for N key points within `reach` columns and rows of where they were."""

    def __init__(self, other: Gradients, patches: Plane, columns: Indices, rows: Indices, reach: int) -> None:
        self._other, self._patches, self._columns, self._rows = other, patches, columns, rows
        self._size = 2 * reach + 1
        place = np.arange(self._size**2)
        self._right, self._down = place // self._size - reach, place % self._size - reach

    def chosen(self, after: Gradients, still_cost: Plane) -> tuple[Indices, Indices, Plane]:
        """How far right and down the chosen places are, and their costs; [N] each."""
        costs = self._costs()
        distance = np.hypot(self._right, self._down)
        each = np.arange(len(costs))
        first = costs.argmin(axis=1)
        least = costs[each, first]
        near = np.where(0.8 * costs <= least[:, None], distance, np.inf).argmin(axis=1)
        near_cost = costs[each, near]
        costs[each, first] = np.inf
        second = costs.argmin(axis=1)
        limit = 0.8 * costs[each, second]
        costs[each, first] = least

        clear = least < limit if self._other is after else least <= limit
        clear |= distance[first] < distance[second]
        # The forward cost decides in the search backward too, as in the original.
        forward = self._cost_at(after, each, near)
        take_near = ~clear & (forward < 1.1 * least)
        give_up = ~clear & ~take_near & ~(least < 0.9 * still_cost)
        cost = np.where(take_near, near_cost, np.where(give_up, still_cost, least))
        moved = 1.01 * cost < still_cost
        chosen = np.where(moved, (costs == cost[:, None]).argmax(axis=1), self._size**2 // 2)
        return self._right[chosen], self._down[chosen], np.where(moved, cost, still_cost)

    def _costs(self) -> Plane:
        """[N, places], column by column; infinite where it exceeds the second least and 1 / 0.8 of the least.

        The mean over a patch differs by no more than the patch itself: most places are left out by that.
        """
        bounds = self._lower_bounds()
        best = bounds.argmin(axis=2) + np.arange(0, self._size**2, self._size)  # [N, columns]
        point = np.repeat(np.arange(len(best)), self._size)
        tried = self._cost_at(self._other, point, best.ravel()).reshape(best.shape)
        tried.partition(1, axis=1)
        limits = np.maximum(tried[:, 1], 1.25 * tried[:, 0]) * (1 + _SLACK) + _SLACK
        costs = np.full((len(best), self._size**2), np.inf)
        near = np.flatnonzero(bounds.reshape(costs.shape) <= limits[:, None])
        point, place = np.divmod(near, costs.shape[1])
        costs.ravel()[near] = self._cost_at(self._other, point, place, limits[point])
        return costs

    def _lower_bounds(self) -> Plane:
        """[N, size, size]: what the costs are at least."""
        reach = self._size // 2
        windows = sliding_window_view(self._other.sums, (self._size, self._size), axis=(1, 2))
        differences = windows[:, self._columns - reach - 1, self._rows - reach - 1]  # [2, N, size, size]
        differences -= self._patches.sum(axis=(0, 1))[..., None, None]
        differences *= differences
        bounds: Plane = np.add(differences[0], differences[1])
        return np.divide(bounds, 9, out=bounds)

    def _cost_at(
        self, other: Gradients, point: Indices, place: Indices, limits: Plane | None = None
    ) -> Plane:
        places = self._columns[point] + self._right[place], self._rows[point] + self._down[place]
        return _costs(other, self._patches, point, places, limits)
