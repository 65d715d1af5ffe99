"""Colours of video in the spaces that VIDEVAL's features are computed in.

Y, U and V are planes [H, W] in 8-bit units, 0..255, of BT.601 in the studio range (ITU-R BT.601-7).
"""

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]

_TO_YUV = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
_FROM_YUV = np.linalg.inv(_TO_YUV)
_BLACK = np.array([16.0, 128.0, 128.0])


def rgb(y: Plane, u: Plane, v: Plane) -> Plane:
    """[3, H, W], 0..1, not rounded."""
    yuv = np.stack([y, u, v]).reshape(3, -1)
    values: Plane = np.clip(_FROM_YUV @ (yuv - _BLACK[:, None]), 0, 1)
    return values.reshape(3, *y.shape)


def linear(values: Plane) -> Plane:
    """Linear light of sRGB values, 0..1 (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _primaries() -> Plane:
    white = np.array([0.95047, 1.0, 1.08883])
    chromaticities = np.array([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]])
    x, y = chromaticities.T
    columns = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    matrix: Plane = columns * np.linalg.solve(columns, white) / white[:, None]
    return matrix


_SRGB_TO_XYZ = _primaries()
"""To X, Y and Z relative to the white point D65."""


def lab(y: Plane, u: Plane, v: Plane) -> Plane:
    """CIELAB [3, H, W], L 0..100, white point D65, of colours that are not rounded."""
    xyz = _SRGB_TO_XYZ @ linear(rgb(y, u, v)).reshape(3, -1)
    x, y, z = lightness(xyz).reshape(3, *y.shape)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def lightness(values: Plane) -> Plane:
    """The function f of CIE 15:2004, 8.2.1.1: of XYZ relative to white."""
    return np.where(values > (6 / 29) ** 3, np.cbrt(values), values * (841 / 108) + 4 / 29)
