"""Colours of video in the spaces that VIDEVAL's features are computed in.

Y, U and V are planes [H, W] in 8-bit units, 0..255, of BT.601 in the studio range (ITU-R BT.601-7).
"""

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]
Bytes = NDArray[np.uint8]

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


def rgb8(y: Plane, u: Plane, v: Plane) -> Bytes:
    """[3, H, W], uint8, of Y, U and V that are rounded first."""
    yuv = np.floor(np.clip(np.stack([y, u, v]), 0, 255) + 0.5).reshape(3, -1)
    return _rounded(255 * _FROM_YUV @ (yuv - _BLACK[:, None])).reshape(3, *y.shape)


def lab8(rgb: Bytes) -> Bytes:
    """a and b of CIELAB, plus 128 each, as ICC profiles store them: uint8 [2, H, W], white point D50."""
    xyz = _RGB_TO_PCS @ _LINEAR[rgb].reshape(3, -1)
    x, y, z = lightness(xyz).reshape(3, *rgb.shape[1:])
    return _rounded(np.stack([500 * (x - y), 200 * (y - z)]) + 128)


def chroma(rgb: Bytes) -> Plane:
    """The root of the sum of squares of both planes of lab8: as published, with the 128 left in them."""
    a, b = lab8(rgb).astype(np.float64)
    return np.asarray(np.sqrt(a * a + b * b))


def short_wave(rgb: Bytes) -> Plane:
    """S of the cones' responses L, M and S by CAT02 (CIE 159:2004), 0..1."""
    return np.asarray(np.tensordot(_RGB_TO_S, _LINEAR[rgb], 1))


def _rounded(values: Plane) -> Bytes:
    rounded: Bytes = np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)
    return rounded


_LINEAR = linear(np.arange(256) / 255)
_RGB_TO_PCS = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
) / np.array([[0.9642], [1.0], [0.8249]])
_RGB_TO_S = np.array([0.0030, 0.0136, 0.9834]) @ np.linalg.inv(
    np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
)
