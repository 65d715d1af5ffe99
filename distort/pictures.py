"""What spoils the pictures one by one: blur, light, colours, noise, blocks; and light and camera that move.

A maker takes the first frame, the number of the strength (kinds.toml says what it means) and random draws,
and gives the function that each frame of the video, with its time in seconds, goes through.
"""

import io
from collections.abc import Callable

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

from distort.footage import filter_graph, filtered
from extract.video.yuv420 import planes_of

Picture = Callable[[VideoFrame, float], VideoFrame]
Maker = Callable[[VideoFrame, float, np.random.Generator], Picture]
Plane = NDArray[np.uint8]

_BLACK, _WHITE, _GREY = 16, 235, 128
_MIDDLE = 126
"""Luma between black and white."""
_GAMMA = 2.2
_CHROMA_NOISE = 0.5
_SHIFTS = 64
"""Ways to cut a frame's noise out of the field, along each side."""
_EXACT = "flags=accurate_rnd+full_chroma_int+full_chroma_inp"


def gaussian_blur(like: VideoFrame, sigma: float, _random: np.random.Generator) -> Picture:
    """libavfilter's gblur of all planes."""
    # Four passes of the recursive filter: fewer leave it visibly unlike a Gaussian.
    luma, chroma = f"sigma={sigma}:steps=4:planes=1", f"sigma={sigma / 2}:steps=4:planes=6"
    return _through(like, ("gblur", luma), ("gblur", chroma))


def motion_blur(like: VideoFrame, reach: float, random: np.random.Generator) -> Picture:
    """In one direction, which is drawn."""
    angle = random.uniform(0, 180)
    planes = ((reach, 1), (reach / 2, 6))
    return _through(
        like, *(("dblur", f"angle={angle:.1f}:radius={size}:planes={mask}") for size, mask in planes)
    )


def defocus(_like: VideoFrame, radius: float, _random: np.random.Generator) -> Picture:
    """A point becomes a disc, as in a lens that is focused elsewhere."""
    kernels = [_disc(radius), _disc(radius / 2), _disc(radius / 2)]

    def picture(frame: VideoFrame, _time: float) -> VideoFrame:
        return _each_plane(frame, lambda plane, number: _convolved(plane, kernels[number]))

    return picture


def _disc(radius: float) -> NDArray[np.float32]:
    """Share of each pixel that the disc covers, of sum 1, [2n + 1, 2n + 1]."""
    reach = int(np.ceil(radius))
    fine = (np.arange((2 * reach + 1) * 8) + 0.5) / 8 - reach - 0.5
    inside = np.hypot(fine[:, None], fine[None]) <= radius
    shares = inside.reshape(2 * reach + 1, 8, 2 * reach + 1, 8).mean(axis=(1, 3), dtype=np.float32)
    return np.asarray(shares / shares.sum(), dtype=np.float32)


def _convolved(plane: Plane, kernel: NDArray[np.float32]) -> Plane:
    from scipy import signal  # here: it takes longer to import than all else together

    reach = len(kernel) // 2
    around = np.pad(plane.astype(np.float32), reach, mode="symmetric")
    return _levels(signal.fftconvolve(around, kernel, mode="valid"))


def dark(like: VideoFrame, stops: float, _random: np.random.Generator) -> Picture:
    """So many stops less light."""
    gain = 2 ** (-stops / _GAMMA)
    chroma = f"{_GREY}+(val-{_GREY})*{gain}"
    return _through(like, ("lutyuv", f"y='{_BLACK}+(val-{_BLACK})*{gain}':u='{chroma}':v='{chroma}'"))


def overexposed(like: VideoFrame, stops: float, _random: np.random.Generator) -> Picture:
    """So many stops more light; what is too bright becomes white."""
    gain = 2 ** (stops / _GAMMA)
    brighter = f"'min(255,val*{gain})'"
    lut = f"r={brighter}:g={brighter}:b={brighter}"
    return _through(
        like, ("scale", _EXACT), ("format", "gbrp"), ("lutrgb", lut), ("scale", _EXACT), ("format", "yuv420p")
    )


def contrast(like: VideoFrame, share: float, _random: np.random.Generator) -> Picture:
    """All levels nearer to grey."""
    luma, chroma = f"{_MIDDLE}+(val-{_MIDDLE})*{share}", f"{_GREY}+(val-{_GREY})*{share}"
    return _through(like, ("lutyuv", f"y='{luma}':u='{chroma}':v='{chroma}'"))


def colour_cast(like: VideoFrame, shift: float, random: np.random.Generator) -> Picture:
    """A wrong white balance, towards a colour that is drawn."""
    angle = random.uniform(0, 2 * np.pi)
    u, v = shift * np.cos(angle), shift * np.sin(angle)
    return _through(like, ("lutyuv", f"u='clip(val+{u:.3f},16,240)':v='clip(val+{v:.3f},16,240)'"))


def banding(like: VideoFrame, step: float, _random: np.random.Generator) -> Picture:
    """Few levels are left."""
    luma, chroma = (f"{zero}+round((val-{zero})/{step})*{step}" for zero in (_BLACK, _GREY))
    return _through(like, ("lutyuv", f"y='min({luma},{_WHITE})':u='{chroma}':v='{chroma}'"))


def resample(like: VideoFrame, factor: float, _random: np.random.Generator) -> Picture:
    """Scaled down by areas and up bicubically."""
    width, height = (max(1, round(side / factor)) for side in (like.width, like.height))
    down, up = f"{width}:{height}:flags=area", f"{like.width}:{like.height}:flags=bicubic"
    return _through(like, ("scale", f"{down}+accurate_rnd"), ("scale", f"{up}+accurate_rnd"))


def ringing(like: VideoFrame, share: float, _random: np.random.Generator) -> Picture:
    """An ideal low-pass filter: edges have echoes (Gibbs)."""
    kept = f"'lte(hypot(X/W,Y/H),{share})'"
    return _through(like, ("fftfilt", f"weight_Y={kept}:weight_U={kept}:weight_V={kept}"))


def blocking(_like: VideoFrame, quality: float, _random: np.random.Generator) -> Picture:
    """Each frame by itself as JPEG."""

    def coded(plane: Plane, _number: int) -> Plane:
        file = io.BytesIO()
        Image.fromarray(plane).save(file, "JPEG", quality=round(quality))
        return np.asarray(Image.open(file))

    return lambda frame, _time: _each_plane(frame, coded)


def noise(like: VideoFrame, sigma: float, random: np.random.Generator) -> Picture:
    """Gaussian noise in every pixel.

    Every frame gets another random cut of one larger field of noise: drawing each anew takes ten times
    as long, and no two neighbouring frames share a pixel's noise.
    """
    lines, width = like.height, like.width
    field = random.standard_normal((lines * 3 // 2 + _SHIFTS, width + _SHIFTS), dtype=np.float32) * sigma

    def picture(frame: VideoFrame, _time: float) -> VideoFrame:
        top, left = random.integers(0, _SHIFTS, 2)
        noise = field[top : top + lines * 3 // 2, left : left + width].copy()
        noise[lines:] *= _CHROMA_NOISE
        noise += frame.to_ndarray(format="yuv420p")  # uint8 [H * 3 / 2, W]: luma, then both chroma planes
        return VideoFrame.from_ndarray(_levels(noise), format="yuv420p")

    return picture


def flicker(_like: VideoFrame, swing: float, random: np.random.Generator) -> Picture:
    """Brightness that swings a few times a second, as under a lamp or by an automatic exposure."""
    hertz, phase = random.uniform(2.5, 5.0), random.uniform(0, 2 * np.pi)

    def picture(frame: VideoFrame, time: float) -> VideoFrame:
        gain = 1 + swing * np.sin(2 * np.pi * hertz * time + phase)
        levels = _levels((np.arange(256) - _BLACK) * gain + _BLACK)
        return _each_plane(frame, lambda plane, number: plane if number else levels[plane])

    return picture


def shake(like: VideoFrame, share: float, random: np.random.Generator) -> Picture:
    """A hand that trembles: three oscillations of 1.5 to 6 Hz along each side; the border is mirrored."""
    hertz, phase = random.uniform(1.5, 6.0, (2, 3)), random.uniform(0, 2 * np.pi, (2, 3))
    parts = random.dirichlet((2.0, 2.0, 2.0), 2)
    reach = share * like.height

    def picture(frame: VideoFrame, time: float) -> VideoFrame:
        moved = reach * (parts * np.sin(2 * np.pi * hertz * time + phase)).sum(axis=1)  # [down, right]

        def shifted(plane: Plane, number: int) -> Plane:
            # Whole pixels: without interpolation, no frame is less sharp.
            down, right = np.rint(moved / 2 if number else moved).astype(int)
            around = np.pad(plane, ((abs(down),) * 2, (abs(right),) * 2), mode="symmetric")
            rows, columns = plane.shape
            return around[abs(down) - down :, abs(right) - right :][:rows, :columns]

        return _each_plane(frame, shifted)

    return picture


PICTURES: dict[str, Maker] = {
    "shake": shake,
    "motion-blur": motion_blur,
    "defocus": defocus,
    "gaussian-blur": gaussian_blur,
    "dark": dark,
    "overexposed": overexposed,
    "colour-cast": colour_cast,
    "contrast": contrast,
    "flicker": flicker,
    "noise": noise,
    "resample": resample,
    "ringing": ringing,
    "banding": banding,
    "blocking": blocking,
}


def _through(like: VideoFrame, *filters: tuple[str, str]) -> Picture:
    graph = filter_graph(like, *filters)
    return lambda frame, _time: filtered(graph, frame)


def _each_plane(frame: VideoFrame, change: Callable[[Plane, int], Plane]) -> VideoFrame:
    """The frame with each plane, 0 luma [H, W], 1 and 2 chroma [H / 2, W / 2], changed."""
    planes = np.ascontiguousarray(frame.to_ndarray(format="yuv420p"), dtype=np.uint8)
    for number, plane in enumerate(planes_of(planes)):
        plane[:] = change(plane, number)
    return VideoFrame.from_ndarray(planes, format="yuv420p")


def _levels(values: NDArray[np.floating]) -> Plane:
    return np.asarray(np.rint(values).clip(0, 255), dtype=np.uint8)
