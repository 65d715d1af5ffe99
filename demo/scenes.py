"""Painted scenes whose statistics are those of camera pictures: leaves, landscapes, rooms, pages, textures.

Occluding shapes whose sizes follow a power law ("dead leaves": Lee, Mumford and Huang, "Occlusion Models
for Natural Images", 2001), filled with 1/f textures, give the edges, flat parts and scaling of real scenes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.fft import irfft2, rfftfreq
from scipy.ndimage import gaussian_filter

Plane = NDArray[np.float32]

SCENES = ("leaves", "landscape", "room", "texture", "page")


@dataclass
class Canvas:
    """A painting larger than what the camera sees of it.

    planes: float32 [3, H, W], luma and both chroma differences, in grey levels about 0 to 255 and 128.
    alpha: [H, W], 0 where what lies behind shows through.
    """

    planes: Plane
    alpha: Plane


def paint_scene(random: Generator, kind: str, height: int, width: int, detail: float) -> Canvas:
    """A scene of one of the kinds; `detail`: size in pixels of its finest shapes."""
    canvas = _ground(random, height, width)
    texture = fractal_texture(random, height, width, random.uniform(0.8, 1.7))
    if kind == "texture":
        amount = random.uniform(12, 45) * fractal_texture(random, height, width, 2.0)
        canvas.planes[0] += texture * (random.uniform(10, 35) + np.abs(amount))
        paint_leaves(random, canvas, texture, count=int(random.integers(0, 40)), detail=8 * detail)
    elif kind == "landscape":
        _landscape(random, canvas, texture, detail)
    elif kind == "room":
        paint_leaves(random, canvas, texture, count=60, detail=12 * detail, upright=True, roughness=0.15)
        paint_leaves(random, canvas, texture, count=int(random.integers(20, 200)), detail=detail)
        _write(random, canvas, panels=2, detail=detail)
    elif kind == "page":
        paint_leaves(random, canvas, texture, count=30, detail=16 * detail, upright=True, roughness=0.1)
        _write(random, canvas, panels=6, detail=detail)
        paint_leaves(random, canvas, texture, count=int(random.integers(0, 25)), detail=4 * detail)
    else:
        paint_leaves(random, canvas, texture, count=int(random.integers(300, 1500)), detail=detail)
    _light(random, canvas)
    return canvas


def paint_objects(random: Generator, height: int, width: int, detail: float) -> Canvas:
    """A few large shapes on nothing: what moves in front of a scene."""
    canvas = Canvas(np.full((3, height, width), 128, np.float32), np.zeros((height, width), np.float32))
    texture = fractal_texture(random, height, width, random.uniform(0.8, 1.7))
    for _ in range(int(random.integers(1, 5))):
        radius = height * random.uniform(0.06, 0.2)
        place = height * random.uniform(0.25, 0.75), width * random.uniform(0.25, 0.75)
        _leaf(random, canvas, texture, place, radius, upright=False, roughness=random.uniform(0.1, 0.8))
        for _ in range(int(random.integers(0, 30))):
            near = place[0] + radius * random.normal(0, 0.35), place[1] + radius * random.normal(0, 0.35)
            size = max(detail, radius * random.uniform(0.02, 0.3))
            _leaf(random, canvas, texture, near, size, upright=False, roughness=0.3)
    return canvas


def fractal_texture(random: Generator, height: int, width: int, slope: float) -> Plane:
    """[height, width] of 1/f^slope noise with mean 0 and standard deviation 1."""
    radius = np.hypot(np.fft.fftfreq(height)[:, None], rfftfreq(width)[None, :])
    radius[0, 0] = 1.0
    size = radius.shape
    spectrum = random.standard_normal(size) + 1j * random.standard_normal(size)
    spectrum *= radius**-slope
    spectrum[0, 0] = 0
    texture = irfft2(spectrum.astype(np.complex64), s=(height, width))
    return np.asarray(texture / texture.std(), np.float32)


def paint_leaves(
    random: Generator,
    canvas: Canvas,
    texture: Plane,
    count: int,
    detail: float,
    *,
    upright: bool = False,
    roughness: float = 0.6,
) -> None:
    """Paint shapes over each other; their radii follow r^-3 from `detail` up to a third of the height."""
    height, width = canvas.alpha.shape
    largest = height / 3
    share = random.random(count)
    radii = (detail**-2 - share * (detail**-2 - largest**-2)) ** -0.5
    # Most of that law's shapes are tiny, and leave the ground bare: a few in each octave cover it.
    radii = np.append(radii, np.exp(random.uniform(np.log(detail), np.log(largest), 20 + count // 8)))
    # Large shapes tend to lie below: otherwise nothing small would be left to see.
    for radius in radii[np.argsort(-radii * random.uniform(0.3, 1.0, len(radii)))]:
        place = random.uniform(0, height), random.uniform(0, width)
        _leaf(random, canvas, texture, place, float(radius), upright=upright, roughness=roughness)


def _leaf(
    random: Generator,
    canvas: Canvas,
    texture: Plane,
    place: tuple[float, float],
    radius: float,
    *,
    upright: bool,
    roughness: float,
) -> None:
    height, width = canvas.alpha.shape
    angle = 0.0 if upright else random.uniform(0, np.pi)
    stretch = np.exp(random.normal(0, 0.5))
    reach = 1.5 * radius * max(stretch, 1 / stretch)
    top, left = (max(0, int(centre - reach)) for centre in place)
    bottom, right = min(height, int(place[0] + reach) + 1), min(width, int(place[1] + reach) + 1)
    if top >= bottom or left >= right:
        return
    down = (np.arange(top, bottom, dtype=np.float32) - place[0])[:, None]
    across = (np.arange(left, right, dtype=np.float32) - place[1])[None, :]
    u = (np.cos(angle) * across + np.sin(angle) * down) / (radius * stretch)
    v = (np.cos(angle) * down - np.sin(angle) * across) * stretch / radius
    square = upright or random.random() < 0.4
    inside = (np.abs(u) < 1) & (np.abs(v) < 1) if square else u * u + v * v < 1
    y = int(random.integers(0, height - (bottom - top) + 1))
    x = int(random.integers(0, width - (right - left) + 1))
    grain = texture[y : y + bottom - top, x : x + right - left]
    shade = random.normal(0, 14) * u + random.normal(0, 14) * v
    luma = random.uniform(15, 240) + shade + roughness * random.exponential(14) * grain
    region = canvas.planes[:, top:bottom, left:right]
    region[0][inside] = luma[inside]
    for plane in region[1:]:
        plane[inside] = 128 + random.normal(0, 16)
    canvas.alpha[top:bottom, left:right][inside] = 1


def _ground(random: Generator, height: int, width: int) -> Canvas:
    planes = np.full((3, height, width), 128, np.float32)
    planes[0] = random.uniform(60, 190) + random.uniform(0, 30) * fractal_texture(random, height, width, 2.2)
    planes[1:] += random.normal(0, 12, (2, 1, 1))
    return Canvas(planes, np.ones((height, width), np.float32))


def _landscape(random: Generator, canvas: Canvas, texture: Plane, detail: float) -> None:
    height, width = canvas.alpha.shape
    skyline = height * (random.uniform(0.3, 0.6) + 0.06 * fractal_texture(random, 2, width, 1.3)[0])
    rows = np.arange(height, dtype=np.float32)[:, None]
    sky = random.uniform(150, 230) - rows / height * random.uniform(-40, 60)
    sky = sky + random.uniform(0, 12) * fractal_texture(random, height, width, 2.0)
    land = rows > skyline[None, :]
    paint_leaves(random, canvas, texture, count=int(random.integers(100, 900)), detail=detail)
    # The land grows rougher toward the viewer.
    rough = random.uniform(8, 30) * np.clip(rows / height, 0.2, 1) * texture
    canvas.planes[0] = np.where(land, 0.7 * canvas.planes[0] + rough + random.uniform(0, 50), sky)
    tint = random.normal(0, 14, 2)
    for plane, shift in zip(canvas.planes[1:], tint, strict=True):
        plane[...] = np.where(land, plane, 128 + shift)


def _write(random: Generator, canvas: Canvas, panels: int, detail: float) -> None:
    """Panels with rows of dark marks on light or the reverse, like print and signs."""
    height, width = canvas.alpha.shape
    for _ in range(panels):
        cell = max(1, round(detail * random.uniform(0.5, 2.5)))
        tall, wide = int(random.integers(4, 40)) * 10, int(random.integers(6, 40)) * 6
        marks = random.random((tall, wide)) < 0.45
        marks[np.arange(tall) % 10 >= 7] = False
        marks[:, np.arange(wide) % 6 >= 4] = False
        marks &= np.repeat(random.random((tall, (wide + 5) // 6)) < 0.85, 6, axis=1)[:, :wide]
        page = np.kron(marks, np.ones((cell, cell), bool))[: height - 2, : width - 2]
        top = int(random.integers(0, height - page.shape[0]))
        left = int(random.integers(0, width - page.shape[1]))
        paper, ink = random.permutation([random.uniform(10, 90), random.uniform(150, 245)])
        region = canvas.planes[:, top : top + page.shape[0], left : left + page.shape[1]]
        region[0] = np.where(page, ink, paper)
        region[1:] = 128 + random.normal(0, 8, (2, 1, 1))


def _light(random: Generator, canvas: Canvas) -> None:
    """Uneven light over the whole scene, and soft shadows."""
    height, width = canvas.alpha.shape
    small = fractal_texture(random, height // 8 + 1, width // 8 + 1, 2.5)
    coarse = np.kron(gaussian_filter(small, 2), np.ones((8, 8), np.float32))[:height, :width]
    canvas.planes[0] *= np.exp(random.uniform(0, 0.3) * gaussian_filter(coarse, 6))
