"""Pristine clips: a camera, held, panning, zooming or turning, before a painted scene with moving objects."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from demo.textures import DENSITY, Canvas, Plane, paint
from distort.footage import Footage

SIZES = (
    *((176, 144), (256, 144), (320, 176), (320, 240), (352, 288), (432, 240)) * 4,
    *((480, 272), (480, 352), (640, 352)),
)
"""(width, height), repeated as often as they are to be likely. Multiples of 16: at other sizes x264 does not
give the same file every time."""
FRAME_RATES = (15, 20, 24, 25, 30)

_MARGIN = 1.3

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Clip:
    """A pristine clip. frames: uint8 [T, H * 3 / 2, W], planes as in yuv420p."""

    frames: Frames
    fps: int

    def footage(self) -> Footage:
        """The same as frames of a video, with the time of each."""
        frames = [VideoFrame.from_ndarray(planes, format="yuv420p") for planes in self.frames]
        return Footage(frames, [Fraction(index, self.fps) for index in range(len(frames))])


@dataclass(frozen=True)
class _Sprite:
    """An object: a small canvas, its coverage [H, W], and its way across the picture in pixels."""

    canvas: Canvas
    coverage: Plane
    start: NDArray[np.float64]
    speed: NDArray[np.float64]


@dataclass(frozen=True)
class _View:
    """Where the camera looks: `centre` in canvas pixels, `scale` canvas pixels for a pixel, `angle`."""

    centre: NDArray[np.float64]
    scale: float
    angle: float


def film(random: np.random.Generator, seconds: float, sizes: tuple[tuple[int, int], ...] = SIZES) -> Clip:
    """A clip of a new scene, different for every state of `random`."""
    width, height = sizes[random.integers(len(sizes))]
    fps = int(random.choice(FRAME_RATES))
    extent = [int(_MARGIN * DENSITY * side) // 2 * 2 for side in (height, width)]
    # Sharp optics, or soft ones as in telephones and old cameras.
    lens = float(np.hypot(0.42, random.choice([0.0, random.uniform(0, 0.7)])))
    out_of_focus = random.uniform(0.5, 1.4) if random.random() < 0.2 else 0.0
    background = paint(random, extent[0], extent[1]).softened(float(np.hypot(lens, out_of_focus)))
    moving = random.random() < 0.7
    # Before a still camera something moves, or a freeze could not be distinguished from the scene.
    objects = int(random.integers(0 if moving else 1, 4))
    sprites = [_sprite(random, height, width, lens, seconds) for _ in range(objects)]
    view = _camera(random, extent, seconds) if moving else _tripod(random, extent)
    develop = _Developer(random)
    shutter = random.choice([0.0, 0.0, 0.5]) / fps
    frames = np.empty((max(2, round(seconds * fps)), height * 3 // 2, width), dtype=np.uint8)
    for index, frame in enumerate(frames):
        exposures = (index / fps, index / fps + shutter) if shutter else (index / fps,)
        seen = [_picture(background, sprites, view, time, height, width) for time in exposures]
        develop(
            random,
            frame,
            [sum(planes) / len(seen) for planes in zip(*seen, strict=True)],
            index / len(frames),
        )
    return Clip(frames, fps)


def _picture(
    background: Canvas,
    sprites: list[_Sprite],
    view: Callable[[float], _View],
    seconds: float,
    height: int,
    width: int,
) -> list[Plane]:
    """Luma [H, W] and both chroma planes [H / 2, W / 2] at a moment."""
    look = view(seconds)
    planes = [*_look(background.luma[None], look, height, width, 1)]
    planes += [*_look(background.chroma, look, height // 2, width // 2, 2)]
    for sprite in sprites:
        place = sprite.start + sprite.speed * seconds
        sources = (sprite.canvas.luma, *sprite.canvas.chroma)
        for plane, source, finer in zip(planes, sources, (1, 2, 2), strict=True):
            _put(plane, source, sprite.coverage[::finer, ::finer], place / finer)
    return planes


def _look(planes: Plane, view: _View, height: int, width: int, finer: int) -> Plane:
    """What the camera sees of planes [N, H, W]: [N, height, width], interpolated linearly.

    `finer`: how many times coarser both the planes and the picture are than those of luma.
    """
    cosine, sine = np.float32(np.cos(view.angle) * view.scale), np.float32(np.sin(view.angle) * view.scale)
    r = np.arange(height, dtype=np.float32)[:, None] - np.float32((height - 1) / 2)
    c = np.arange(width, dtype=np.float32)[None] - np.float32((width - 1) / 2)
    centre = (view.centre / finer).astype(np.float32)
    y = cosine * r - sine * c + centre[0]
    x = sine * r + cosine * c + centre[1]
    return _interpolated(planes, y, x)


def _interpolated(planes: Plane, y: Plane, x: Plane) -> Plane:
    """Bilinear, [N, *shape of y]; the edge goes on outside. SciPy's takes more than twice as long."""
    y, x = y.clip(0, planes.shape[1] - 1.01), x.clip(0, planes.shape[2] - 1.01)
    row, column = y.astype(np.int32), x.astype(np.int32)
    y -= row
    x -= column
    corner = row * planes.shape[2] + column
    flat = planes.reshape(len(planes), -1)
    lines = []
    for index in (corner, corner + planes.shape[2]):
        left = flat.take(index, axis=1)
        lines.append(left + (flat.take(index + 1, axis=1) - left) * x)
    return np.asarray(lines[0] + (lines[1] - lines[0]) * y, dtype=np.float32)


def _put(plane: Plane, source: Plane, coverage: Plane, place: NDArray[np.float64]) -> None:
    """Lay an object over the plane, its corner at `place` (row, column), between pixels too."""
    corner = np.floor(place).astype(int)
    size = np.array(source.shape) // DENSITY
    low, high = np.maximum(corner, 0), np.minimum(corner + size, plane.shape)
    if (low >= high).any():
        return
    area = plane[low[0] : high[0], low[1] : high[1]]
    r, c = ((np.arange(low[i], high[i]) - place[i]).astype(np.float32) * DENSITY for i in (0, 1))
    y, x = np.broadcast_arrays(r[:, None], c[None])
    seen, cover = _interpolated(np.stack([source, coverage]), y, x)
    area += cover * (seen - area)


def _camera(random: np.random.Generator, extent: list[int], seconds: float) -> Callable[[float], _View]:
    """A moving view: an even pan, zoom and turn, and the shaking of a hand."""
    room = np.array(extent) * (1 - 1 / _MARGIN) / 2
    way = random.uniform(-1, 1, 2) * room * random.choice([0.15, 0.5, 1.0])
    zoom = random.choice([0.0, random.uniform(-0.2, 0.2)])
    turn = random.choice([0.0, random.uniform(-0.12, 0.12)])
    shake, phase = random.exponential(0.8, 2) * DENSITY, random.uniform(0, 2 * np.pi, 2)
    rate = random.uniform(1, 4, 2) * 2 * np.pi

    def view(time: float) -> _View:
        share = time / seconds - 0.5
        centre = np.array(extent) / 2 + way * share * 2 + shake * np.sin(rate * time + phase)
        return _View(centre, DENSITY * (1 + zoom * share), turn * share)

    return view


def _tripod(random: np.random.Generator, extent: list[int]) -> Callable[[float], _View]:
    still = _View(np.array(extent) / 2 + random.uniform(-10, 10, 2), float(DENSITY), 0.0)
    return lambda _time: still


def _sprite(random: np.random.Generator, height: int, width: int, lens: float, seconds: float) -> _Sprite:
    side = 4 * round(min(height, width) * random.uniform(0.15, 0.5) * DENSITY / 4)
    canvas = paint(random, side, side, detail=0.3).softened(lens)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    aspect, corners = random.uniform(0.5, 0.95), random.choice([2.0, 6.0])
    inside = np.abs(y) ** corners + np.abs(x / aspect) ** corners < 0.9
    coverage = gaussian_filter(inside.astype(np.float32), lens * DENSITY, truncate=3)
    start = random.uniform(-0.1, 0.8, 2) * (height, width)
    way = random.uniform(0.08, 0.6) * width / seconds
    angle = random.uniform(0, 2 * np.pi)
    return _Sprite(canvas, coverage, start, np.array([np.sin(angle) * 0.5, np.cos(angle)]) * way)


class _Developer:
    """Exposure, contrast and the noise of the sensor: planes of light to the planes of the file."""

    def __init__(self, random: np.random.Generator) -> None:
        self.gain = random.uniform(0.7, 1.15)
        self.lift = random.uniform(-8, 18)
        self.noise = random.choice([0.0, random.uniform(0.3, 1.5), random.uniform(0.5, 3.0)])
        self.grain = random.choice([0.0, 0.5, 0.7])
        self.sharpening = random.choice([0.0, 0.0, random.uniform(0.2, 0.8)])
        self.range = random.choice([100.0, 117.0, 160.0])
        self.drift = random.choice([0.0, random.uniform(-12, 12)])
        self.bars = random.uniform(0.05, 0.16) if random.random() < 0.2 else 0.0
        self.upright_bars = random.random() < 0.5

    def __call__(self, random: np.random.Generator, frame: Frames, planes: list[Plane], share: float) -> None:
        """Fill `frame` [H * 3 / 2, W] with the luma plane and both chroma planes; `share`: of the time."""
        height = planes[0].shape[0]
        luma = (planes[0] - 128) * self.gain + 128 + self.lift + self.drift * share
        # The range of a camera ends softly, or less so: then much of what is too bright is clipped flat.
        luma = 125.5 + self.range * np.tanh((luma - 125.5) / self.range)
        if self.noise:
            luma += self._noise(random, luma)
        if self.sharpening:
            luma += self.sharpening * (luma - gaussian_filter(luma, 1.0, truncate=2))
        coded = np.rint(np.stack(planes[1:]) * self.gain + 128).clip(16, 240)
        if self.bars:
            self._frame_in_black([luma, *coded])
        frame[:height] = np.rint(luma).clip(16, 235).astype(np.uint8)
        frame[height:] = coded.astype(np.uint8).reshape(-1, frame.shape[1])

    def _frame_in_black(self, planes: list[Plane]) -> None:
        """Letterbox or pillarbox, as around films of another shape."""
        for plane, black in zip(planes, (16, 128, 128), strict=True):
            lines = plane.T if self.upright_bars else plane
            thickness = round(self.bars * len(lines))
            lines[:thickness] = lines[len(lines) - thickness :] = black

    def _noise(self, random: np.random.Generator, luma: Plane) -> Plane:
        noise = random.standard_normal(luma.shape, dtype=np.float32)
        if self.grain:
            # Demosaicing leaves the noise of neighbours alike; its strength is measured after that.
            noise = gaussian_filter(noise, self.grain, truncate=2)
            noise /= noise.std()
        return np.asarray(noise * self.noise * np.sqrt(0.4 + luma / 210), dtype=np.float32)
