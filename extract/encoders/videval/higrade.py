"""Statistics of the gradient magnitude, normalised and in its logarithm.

Kundu, Ghadiyaram, Bovik and Evans, "No-Reference Quality Assessment of Tone-Mapped HDR Pictures"
(HIGRADE), IEEE Transactions on Image Processing, 2017.
"""

import numpy as np
from numpy.typing import NDArray

from extract.encoders.videval.bands import Plane
from extract.encoders.videval.filters import combined_with_shifted, gradient_magnitude, normalised
from extract.encoders.videval.fits import centred_fit, root_mean_square
from extract.encoders.videval.resize import imresize

_LOG_FLOOR = 0.1


def higrade(luma: Plane) -> NDArray[np.float64]:
    """[8] of luma [H, W] in 0..255: the numbers 3, 13, 14, 16, 21, 28, 30 and 33 of HIGRADE.

    Of the normalised gradient, 3 is the deviation; of its logarithm, 13 and 14 are deviation and shape
    of the mixed difference, 16 the shape of the saddle. At half the size, 21 is the deviation, 28 and 30
    the shapes of the differences along the diagonals, 33 the deviation of the saddle.
    """
    gradient = gradient_magnitude(luma, "nearest")
    full = normalised(gradient)[0]
    half = normalised(imresize(gradient, 0.5))[0]
    logarithm = np.abs(full)
    logarithm += _LOG_FLOOR
    np.log(logarithm, out=logarithm)
    mixed = centred_fit(mixed_difference(logarithm))
    return np.array(
        [
            _deviation(full),
            mixed.deviation,
            mixed.shape,
            centred_fit(saddle(logarithm)).shape,
            _deviation(half),
            centred_fit(difference(half, 1, 1)).shape,
            centred_fit(difference(half, -1, 1)).shape,
            _deviation(saddle(half)),
        ]
    )


def _deviation(plane: Plane) -> float:
    return root_mean_square(plane, plane.mean())


def difference(plane: Plane, down: int, right: int) -> Plane:
    """Each pixel less the one `down` rows above and `right` columns to its left, around the edges."""
    return combined_with_shifted(np.subtract, plane, plane, down, right)


def mixed_difference(plane: Plane) -> Plane:
    """The difference along the rows of the differences down the columns, around the edges."""
    return difference(difference(plane, 0, 1), 1, 0)


def saddle(plane: Plane) -> Plane:
    """The neighbours above and below less those to the left and right, zeros outside."""
    result = np.zeros(plane.shape)
    np.add(plane[:-2], plane[2:], out=result[1:-1])
    if len(plane) > 1:
        result[0], result[-1] = plane[1], plane[-2]
    result[:, 1:] -= plane[:, :-1]
    result[:, :-1] -= plane[:, 1:]
    return result
