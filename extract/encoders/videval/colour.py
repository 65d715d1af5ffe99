"""Colours of video in the spaces that VIDEVAL's features are computed in.

Y, U and V are planes [H, W] in 8-bit units, 0..255, of BT.601 in the studio range (ITU-R BT.601-7).
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

Plane = NDArray[np.float64]

_STRIP = 32768  # pixels converted at a time: all that they need stays in the processor's cache
_TO_YUV = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
_FROM_YUV = np.linalg.inv(_TO_YUV)
_BLACK = np.array([[16.0], [128.0], [128.0]])
_TO_RGB8 = 255 * _FROM_YUV
_RGB8_START = 0.5 - _TO_RGB8 @ _BLACK
"""With the half that makes of cutting off a rounding."""
_SRGB_END = 0.04045
_SRGB_GAP = _SRGB_END / 12.92 - ((_SRGB_END + 0.055) / 1.055) ** 2.4
_ROOT_END = (6 / 29) ** 3
_UNSURE = 1e-3  # three times as much as rounding to float32 makes of a and b


def lab(y: Plane, u: Plane, v: Plane) -> Plane:
    """CIELAB [3, H, W], L 0..100, white point D65, of colours that are not rounded."""
    result = np.empty((3, y.size))
    for strip, yuv in _strips(y, u, v):
        rgb = _FROM_YUV @ (yuv - _BLACK)
        lightness = _lightness(_SRGB_TO_XYZ @ _linear(np.clip(rgb, 0, 1, out=rgb)))
        np.matmul(_LIGHTNESS_TO_LAB, lightness, out=rgb)
        rgb[0] -= 16
        result[:, strip] = rgb
    return result.reshape(3, *y.shape)


def chroma_and_short_wave(y: Plane, u: Plane, v: Plane) -> tuple[Plane, Plane]:
    """Two maps [H, W] of the colours as 8-bit RGB.

    The chroma map is the root of the sum of the squares of a and b of CIELAB, white point D50, as ICC
    profiles store them in 8 bits: 128 is added to each, and stays in, as published. The other map is S
    of the cones' responses L, M and S by CAT02 (CIE 159:2004), 0..1.
    """
    chroma, short_wave = np.empty(y.size), np.empty(y.size)
    for strip, yuv in _strips(y, u, v):
        np.clip(yuv, 0, 255, out=yuv)
        yuv += 0.5
        rgb = _TO_RGB8 @ np.floor(yuv, out=yuv)
        rgb += _RGB8_START
        linear = _LINEAR.take(np.clip(rgb, 0, 255, out=rgb).astype(np.intp))
        opponents = _rounded_opponents(_RGB_TO_PCS @ linear)
        opponents *= opponents
        np.sqrt(np.add(opponents[0], opponents[1], dtype=np.float64), out=chroma[strip])
        np.matmul(_RGB_TO_S, linear, out=short_wave[strip])
    return chroma.reshape(y.shape), short_wave.reshape(y.shape)


def _strips(y: Plane, u: Plane, v: Plane) -> Iterator[tuple[slice, Plane]]:
    """(pixels, their Y, U and V [3, pixels]) part by part."""
    planes = [np.ascontiguousarray(plane).ravel() for plane in (y, u, v)]
    for start in range(0, y.size, _STRIP):
        strip = slice(start, start + _STRIP)
        yield strip, np.stack([plane[strip] for plane in planes])


def _linear(values: Plane) -> Plane:
    """Linear light of sRGB values, 0..1 (IEC 61966-2-1)."""
    srgb = torch.from_numpy(values)
    # Sums of both branches, each held where it ends: choosing between them takes longer than either.
    power = srgb.clamp_min(_SRGB_END).add_(0.055).div_(1.055).log_().mul_(2.4).exp_()
    power += srgb.clamp_max(_SRGB_END).sub_(_SRGB_END).div_(12.92)
    power += (srgb <= _SRGB_END) * _SRGB_GAP
    linear: Plane = power.numpy()
    return linear


def _lightness(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """The function f of CIE 15:2004, 8.2.1.1: of XYZ relative to white."""
    xyz = torch.from_numpy(values)
    root = xyz.clamp_min(_ROOT_END).log_().mul_(1 / 3).exp_()
    lightness: NDArray[np.floating] = root.add_(
        xyz.clamp_max(_ROOT_END).sub_(_ROOT_END), alpha=841 / 108
    ).numpy()
    return lightness


def _rounded_opponents(xyz: Plane) -> NDArray[np.float32]:
    """[2, pixels]: whole numbers, a + 128 and b + 128 of XYZ [3, pixels] relative to white."""
    rough = _opponents(_lightness(xyz.astype(np.float32)))
    whole: NDArray[np.float32] = np.floor(rough)
    rough -= np.rint(rough)
    (unsure,) = np.nonzero((np.abs(rough, out=rough) < _UNSURE).any(axis=0))
    whole[:, unsure] = np.floor(_opponents(_lightness(xyz[:, unsure])))
    return whole


def _opponents(lightness: NDArray[np.floating]) -> NDArray[np.floating]:
    """Half more than a + 128 and b + 128, which stay far from 0 and 255."""
    opponents = lightness[:2] - lightness[1:]
    opponents *= np.array([[500], [200]], lightness.dtype)
    opponents += 128.5
    return opponents


def _primaries() -> Plane:
    white = np.array([0.95047, 1.0, 1.08883])
    x, y = np.array([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]]).T
    columns = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    matrix: Plane = columns * np.linalg.solve(columns, white) / white[:, None]
    return matrix


_SRGB_TO_XYZ = _primaries()
"""To X, Y and Z relative to the white point D65."""
_LIGHTNESS_TO_LAB = np.array([[0.0, 116, 0], [500, -500, 0], [0, 200, -200]])
_LINEAR = _linear(np.arange(256) / 255)
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
