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
_SIDE = len(_CORNER)
_STRIP = 16  # columns filtered at a time: what they need stays in the processor's cache


def key_points(luma: Plane, reach: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Columns and rows [N] of a picture's key points, strongest first.

    `luma` [W, H], 0..1, has its columns first.

    Of all corners stronger than WEAKEST_CORNER, the strongest is taken again and again (on ties the
    first, column by column), and those within `reach` rows and columns of it are dropped. No point is
    nearer than `reach` + 3 pixels to a side.
    """
    border = reach + 3
    if min(luma.shape) <= 2 * border:
        nothing = np.zeros(0, np.intp)
        return nothing, nothing
    strength = _corner_strength(luma, border)
    height = strength.shape[1]
    candidates = np.flatnonzero(strength > WEAKEST_CORNER * _UNIT)
    candidates = candidates[np.argsort(-strength.ravel()[candidates], kind="stable")]
    dropped = np.zeros(strength.shape, bool)
    is_dropped = memoryview(dropped.data).cast("B")
    points = []
    for candidate in candidates.tolist():
        if is_dropped[candidate]:
            continue
        points.append(candidate)
        column, row = divmod(candidate, height)
        dropped[max(0, column - reach) : column + reach + 1, max(0, row - reach) : row + reach + 1] = True
    columns, rows = np.divmod(np.array(points, np.intp), height)
    return columns + border, rows + border


def _corner_strength(luma: Plane, border: int) -> Plane:
    """[W - 2 * border, H - 2 * border]: largest less smallest magnitude of four corner filters, times _UNIT.

    Equal corners are told apart by rounding alone, so the terms are added in the order of the original:
    from the last column of the kernel to the first, each from its last row to its first.
    """
    width, height = (side - 2 * border for side in luma.shape)
    strength = np.empty((width, height))
    twice = -2 * luma
    for start in range(0, width, _STRIP):
        columns = min(_STRIP, width - start)
        sums = []
        for kernel in (_CORNER, _CORNER[::-1], _CORNER[::-1, ::-1], _CORNER[:, ::-1]):
            total = np.zeros((columns, height))
            for right in range(_SIDE - 1, -1, -1):
                for down in range(_SIDE - 1, -1, -1):
                    if kernel[down, right]:
                        source = luma if kernel[down, right] == 1 else twice
                        x, y = start + border + right - 2, border + down - 2
                        total += source[x : x + columns, y : y + height]
            sums.append(np.abs(total, out=total))
        strength[start : start + columns] = np.maximum.reduce(sums) - np.minimum.reduce(sums)
    return strength
