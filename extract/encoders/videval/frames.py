"""Decoded frames as the planes that VIDEVAL computes with."""

import numpy as np
from numpy.typing import NDArray

from extract.encoders.videval.resize import imresize
from extract.video.yuv420 import planes_of

Plane = NDArray[np.float64]


def luma_plane(picture: NDArray[np.uint8], ratio: float) -> Plane:
    """Luma of a yuv420 picture [H * 3/2, W], 0..255 as it is stored, resized by a `ratio` below 1."""
    luma = planes_of(picture)[0].astype(np.float64)
    return imresize(luma, ratio) if ratio < 1 else luma


def colour_planes(picture: NDArray[np.uint8], ratio: float) -> tuple[Plane, Plane, Plane]:
    """Luma and both chroma planes of one size: chroma is enlarged first, neither rounded nor clipped."""
    ratios = (2.0, ratio) if ratio < 1 else (2.0,)
    u, v = (imresize(plane.astype(np.float64), *ratios) for plane in planes_of(picture)[1:])
    return luma_plane(picture, ratio), u, v
