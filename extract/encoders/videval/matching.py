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
_BATCH = 8  # key points searched at a time: their windows stay in the processor's cache


@dataclass(frozen=True)
class Match:
    """Of N key points in another frame: how far right and down they went, and what remains different."""

    right: Indices  # [N] pixels
    down: Indices  # [N] pixels
    cost: Plane  # [N] at that place
    still_cost: Plane  # [N] at the key point's own place


def matches(
    gradients: tuple[Plane, Plane, Plane], points: tuple[Indices, Indices], reach: int
) -> tuple[Match, Match]:
    """Match of this frame's key points in the frames before and after.

    `gradients` [2, W, H] of the frames before, now and after; `points` are columns and rows [N] at least
    reach + 1 pixels from the sides. Costs are sums of squared differences over 3x3 pixels of both gradients.
    """
    before, now, after = gradients
    columns, rows = points
    patches = sliding_window_view(now, (3, 3), axis=(1, 2))[:, columns - 1, rows - 1]  # [2, N, 3, 3]
    patches = np.ascontiguousarray(patches.swapaxes(0, 1))  # [N, 2, 3, 3]
    backward = _costs(before, patches, points, reach)
    forward = _costs(after, patches, points, reach)
    return _best(backward, forward, reach, False), _best(forward, forward, reach, True)


def _costs(other: Plane, patches: Plane, points: tuple[Indices, Indices], reach: int) -> Plane:
    """[N, places]: cost of every place within `reach` columns and rows, column by column."""
    size = 2 * reach + 1
    windows = sliding_window_view(other, (size + 2, size + 2), axis=(1, 2))
    costs = np.empty((len(patches), size, size))
    for start in range(0, len(patches), _BATCH):
        part = slice(start, start + _BATCH)
        window = windows[
            :, points[0][part] - reach - 1, points[1][part] - reach - 1
        ]  # [2, n, size+2, size+2]
        total = np.zeros((window.shape[1], size, size))
        for right in range(3):
            for down in range(3):
                for kind in range(2):
                    difference = (
                        window[kind, :, right : right + size, down : down + size]
                        - (patches[part, kind, right, down, None, None])
                    )
                    total += np.square(difference, out=difference)
        costs[part] = total
    return costs.reshape(len(patches), -1)


def _best(costs: Plane, forward: Plane, reach: int, strictly: bool) -> Match:
    """The places chosen; `strictly`: whether the best must be less than 0.8 of the second best."""
    size = 2 * reach + 1
    place = np.arange(size * size)
    right, down = place // size - reach, place % size - reach
    distance = np.hypot(right, down)
    each = np.arange(len(costs))
    still = size * size // 2
    still_cost = costs[:, still].copy()

    first = costs.argmin(axis=1)
    least = costs[each, first]
    others = costs.copy()
    others[each, first] = np.inf
    second = others.argmin(axis=1)
    limit = 0.8 * others[each, second]
    clear = (least < limit if strictly else least <= limit) | (distance[first] < distance[second])

    nearly = np.where(0.8 * costs <= least[:, None], distance, np.inf)
    near = nearly.argmin(axis=1)
    take_near = ~clear & (forward[each, near] < 1.1 * least)
    give_up = ~clear & ~take_near & ~(least < 0.9 * still_cost)
    cost = np.where(take_near, costs[each, near], np.where(give_up, still_cost, least))

    moved = (still_cost > STILL_COST) & (1.01 * cost < still_cost)
    chosen = np.where(moved, (costs == cost[:, None]).argmax(axis=1), still)
    return Match(right[chosen], down[chosen], np.where(moved, cost, still_cost), still_cost)
