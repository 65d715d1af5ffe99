"""Still pictures with the statistics of photographs: occluding textured shapes, gradients, writing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter

Plane = NDArray[np.float32]

DENSITY = 2
"""Canvas pixels for each pixel of the video: moving the camera then neither blurs nor aliases."""


@dataclass(frozen=True)
class Canvas:
    """A picture larger and finer than the video that looks at it.

    luma: [H, W], in grey levels. chroma: [2, H / 2, W / 2], in levels from grey.
    """

    luma: Plane
    chroma: Plane

    def softened(self, sigma: float) -> "Canvas":
        """Seen through a lens whose blur is `sigma` video pixels."""
        luma = gaussian_filter(self.luma, sigma * DENSITY, truncate=3)
        blur = sigma * DENSITY / 2
        return Canvas(luma, gaussian_filter(self.chroma, (0, blur, blur), truncate=3))


def power_law_noise(random: np.random.Generator, height: int, width: int, exponent: float) -> Plane:
    """Noise of amplitude frequency^-exponent (photographs: about 1), mean 0, deviation 1. [H, W]"""
    fast = (fft.next_fast_len(height, real=True), fft.next_fast_len(width, real=True))
    spectrum = fft.rfft2(random.standard_normal(fast, dtype=np.float32))
    frequency = np.hypot(fft.fftfreq(fast[0])[:, None], fft.rfftfreq(fast[1])[None])
    frequency[0, 0] = 1.0
    spectrum *= frequency.astype(np.float32) ** -exponent
    spectrum[0, 0] = 0
    noise = np.asarray(fft.irfft2(spectrum, s=fast)[:height, :width], dtype=np.float32)
    standard: Plane = (noise - noise.mean()) / noise.std()
    return standard


def paint(random: np.random.Generator, height: int, width: int, *, detail: float = 1.0) -> Canvas:
    """A dead-leaves picture: shapes of a power law of sizes, each textured, in front of one another.

    After Lee, Mumford, Huang: Occlusion models for natural images (IJCV 2001). `height` and `width` are
    even canvas pixels; `detail` multiplies the number of shapes.
    """
    texture = power_law_noise(random, height, width, random.uniform(0.8, 1.5))
    ground = power_law_noise(random, height, width, random.uniform(1.2, 2.0))
    palette = _palette(random)
    slope = random.uniform(-60, 60) * np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    luma = (palette[0, 0] + slope + random.uniform(2, 30) * ground).astype(np.float32)
    chroma = np.empty((2, height // 2, width // 2), dtype=np.float32)
    chroma[:] = palette[0, 1:, None, None]
    chroma += random.uniform(-0.15, 0.15, (2, 1, 1)).astype(np.float32) * 30 * ground[::2, ::2]
    canvas = Canvas(luma, chroma)
    for _ in range(round(detail * random.uniform(150, 900))):
        _leaf(random, canvas, texture, palette[random.integers(len(palette))])
    for _ in range(random.integers(0, 3)):
        _writing(random, canvas, palette)
    return canvas


def _palette(random: np.random.Generator) -> Plane:
    """A few colours that the scene is made of: luma, Cb and Cr from grey, [colours, 3]."""
    count = int(random.integers(5, 10))
    colours = np.empty((count, 3), dtype=np.float32)
    colours[:, 0] = 25 + 205 * random.beta(1.2, 1.5, count)
    colours[:, 1:] = random.normal(0, random.uniform(4, 22), (count, 2))
    return colours


def _leaf(random: np.random.Generator, canvas: Canvas, texture: Plane, colour: Plane) -> None:
    height, width = canvas.luma.shape
    smallest, largest = 4.0, 0.3 * min(height, width)
    radius = (smallest**-2 + random.random() * (largest**-2 - smallest**-2)) ** -0.5
    # Uniform sizes now and then: the power law alone leaves most of the ground bare.
    if random.random() < 0.12:
        radius = random.uniform(smallest, largest)
    y, x = int(random.integers(0, height)), int(random.integers(0, width))
    reach = int(1.45 * radius) + 1
    top, left = (max(0, (y - reach) // 2 * 2), max(0, (x - reach) // 2 * 2))
    bottom, right = min(height, y + reach), min(width, x + reach)
    inside = _shape(random, radius, np.arange(top, bottom) - y, np.arange(left, right) - x)
    contrast = random.exponential(14.0) if random.random() < 0.8 else 0.0
    fill = colour[0] + random.normal(0, 8) + contrast * _patch(random, texture, inside.shape)
    if random.random() < 0.5:
        fill += (random.uniform(-25, 25) * np.linspace(-1, 1, inside.shape[0], dtype=np.float32))[:, None]
    np.copyto(canvas.luma[top:bottom, left:right], fill.astype(np.float32), where=inside)
    coarse = inside[::2, ::2]
    area = canvas.chroma[:, top // 2 : top // 2 + coarse.shape[0], left // 2 : left // 2 + coarse.shape[1]]
    coarse = coarse[: area.shape[1], : area.shape[2]]
    np.copyto(area, colour[1:, None, None], where=coarse[None])


def _shape(
    random: np.random.Generator, radius: float, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Where a turned ellipse, box or rhombus covers the pixels, bool [rows, columns]."""
    angle, aspect = random.uniform(0, np.pi), random.uniform(0.25, 1.0)
    # Buildings, horizons and furniture stand upright.
    angle = 0.0 if random.random() < 0.3 else angle
    cosine, sine = np.float32(np.cos(angle) / radius), np.float32(np.sin(angle) / radius)
    r, c = rows.astype(np.float32)[:, None], columns.astype(np.float32)[None]
    u, v = np.abs(cosine * r + sine * c), np.abs(cosine * c - sine * r) / np.float32(aspect)
    kind = random.integers(3)
    distance = u * u + v * v if kind == 0 else np.maximum(u, v) if kind == 1 else u + v
    return np.asarray(distance < 1)


def _patch(random: np.random.Generator, texture: Plane, shape: tuple[int, ...]) -> Plane:
    top, left = (
        int(random.integers(0, have - need + 1)) for have, need in zip(texture.shape, shape, strict=True)
    )
    return texture[top : top + shape[0], left : left + shape[1]]


def _writing(random: np.random.Generator, canvas: Canvas, palette: Plane) -> None:
    """A sign with rows of letter-like marks."""
    stroke = int(random.integers(3, 7))
    letters = random.random((int(random.integers(1, 5)), 5, int(random.integers(4, 14)), 4)) < 0.55
    letters = np.pad(letters, ((0, 0), (1, 1), (0, 0), (0, 1)))  # [rows, 7, letters, 5]
    rows, tall, count, wide = letters.shape
    marks = letters.reshape(rows * tall, count * wide).repeat(stroke, 0).repeat(stroke, 1)
    marks = marks[: canvas.luma.shape[0], : canvas.luma.shape[1]]
    paper, ink = palette[random.choice(len(palette), 2, replace=False), 0]
    ink = ink if abs(ink - paper) > 40 else (paper + 110) % 220 + 16
    top, left = (
        int(random.integers(0, have - need + 1))
        for have, need in zip(canvas.luma.shape, marks.shape, strict=True)
    )
    canvas.luma[top : top + marks.shape[0], left : left + marks.shape[1]] = np.where(marks, ink, paper)
