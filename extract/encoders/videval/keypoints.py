"""Corners of a picture, and the strongest of them, well apart: what TLVQM follows from frame to frame.

Korhonen, "Two-Level Approach for No-Reference Consumer Video Quality Assessment", IEEE TIP 2019, III.A.
"""

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]

WEAKEST_CORNER = 0.01
_UNIT = 32  # the corner filters' weights are whole multiples of 1 / 32, so that scaling never rounds
_CORNER = np.array(
    [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [-2, -2, 0, 1, 1], [-2, -2, -2, 1, 1], [-2, -2, -2, 1, 1]]
)
_STRIP = 16384  # pixels filtered at a time: all that they need stays in the processor's cache
_Terms = list[tuple[int, int, int]]


def key_points(luma: Plane, reach: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Columns and rows [N] of a picture's key points, strongest first.

    `luma` [W, H], 0..1, has its columns first. Of all corners stronger than WEAKEST_CORNER, the strongest
    is taken again and again (on ties the first, column by column), and those within `reach` rows and
    columns of it are dropped. No point is nearer than `reach` + 3 pixels to a side.
    """
    border = reach + 3
    points: list[tuple[int, int]] = []
    if min(luma.shape) > 2 * border:
        strength = _corner_strength(luma, border)
        strongest = strength.max(axis=1)  # [columns]
        while True:
            column = int(strongest.argmax())
            if not strongest[column] > WEAKEST_CORNER * _UNIT:
                break
            row = int(strength[column].argmax())
            points.append((column, row))
            near = slice(max(0, column - reach), column + reach + 1)
            strength[near, max(0, row - reach) : row + reach + 1] = 0
            strength[near].max(axis=1, out=strongest[near])
    columns, rows = np.array(points, np.intp).reshape(-1, 2).T
    return columns + border, rows + border


def _corner_strength(luma: Plane, border: int) -> Plane:
    """[W - 2 * border, H - 2 * border]: largest less smallest size of four filters, times _UNIT."""
    width, height = luma.shape
    first, last = border * height, (width - border) * height
    strength = np.empty(last - first)
    once = luma.ravel()
    sources = {1: once, -2: -2 * once}
    for start in range(first, last, _STRIP):
        size = min(_STRIP, last - start)
        totals = []
        for shared, rests in _FILTERS:
            common = np.zeros(size)
            _add(common, shared, sources, start, height)
            for rest in rests:
                total = common.copy()
                _add(total, rest, sources, start, height)
                totals.append(np.abs(total, out=total))
        lowest = np.minimum(np.minimum(totals[0], totals[1]), np.minimum(totals[2], totals[3]))
        highest = np.maximum(np.maximum(totals[0], totals[1]), np.maximum(totals[2], totals[3]))
        np.subtract(highest, lowest, out=strength[start - first : start - first + size])
    # The rows near the sides have been filtered across them.
    return strength.reshape(-1, height)[:, border:-border]


def _add(total: Plane, terms: _Terms, sources: dict[int, Plane], start: int, height: int) -> None:
    for right, down, weight in terms:
        place = start + right * height + down
        total += sources[weight][place : place + len(total)]


def _terms(kernel: NDArray[np.int_]) -> _Terms:
    """(right, down, weight) in the order of the original: among equal corners rounding alone decides.

    From the last column to the first, each from its last row to its first.
    """
    side = range(len(kernel) - 1, -1, -1)
    return [(x - 2, y - 2, int(kernel[y, x])) for x in side for y in side if kernel[y, x]]


def _with_shared_beginning(*kernels: NDArray[np.int_]) -> tuple[_Terms, list[_Terms]]:
    terms = [_terms(kernel) for kernel in kernels]
    same = next((i for i, pair in enumerate(zip(*terms, strict=True)) if len(set(pair)) > 1), 0)
    return terms[0][:same], [each[same:] for each in terms]


_FILTERS = [
    _with_shared_beginning(_CORNER, _CORNER[::-1]),
    _with_shared_beginning(_CORNER[::-1, ::-1], _CORNER[:, ::-1]),
]
