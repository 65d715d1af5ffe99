"""A camera that films painted scenes: motion, focus, exposure, the sensor's noise, its own compression."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from av.video.frame import VideoFrame
from numpy.random import Generator
from scipy.ndimage import gaussian_filter

from demo.scenes import SCENES, Canvas, paint_objects, paint_scene
from evaluate.degrade import blurred
from evaluate.footage import filter_graph, filtered, read_footage, write_footage

SIZES = ((160, 128), (176, 144), (256, 144), (320, 176), (320, 240), (432, 240), (480, 272), (640, 352))
"""(width, height), with their shares in SIZE_SHARES: the small ones teach as much and cost less."""
SIZE_SHARES = (0.08, 0.1, 0.16, 0.22, 0.2, 0.12, 0.08, 0.04)
_RATES = (15, 20, 24, 25, 30)
_OVERSAMPLING = 2


@dataclass(frozen=True)
class Take:
    """A pristine clip: frames in yuv420p."""

    frames: list[VideoFrame]
    fps: int
    scene: str

    @property
    def times(self) -> list[Fraction]:
        """Of the frames, in seconds."""
        return [Fraction(index, self.fps) for index in range(len(self.frames))]


def film(random: Generator, size: tuple[int, int], seconds: float) -> Take:
    """Film a new scene at (width, height), everything else at random."""
    fps = int(random.choice(_RATES))
    scene = str(random.choice(SCENES, p=(0.3, 0.25, 0.2, 0.15, 0.1)))
    frames = list(_exposed(random, _Shot.arrange(random, scene, size, fps, seconds)))
    return Take(_developed(random, frames, fps), fps, scene)


@dataclass(frozen=True)
class _Layer:
    luma: torch.Tensor  # [1, 2, H, W]: luma and alpha, oversampled
    chroma: torch.Tensor  # [1, 3, H / 2, W / 2]: both chroma planes and alpha
    path: torch.Tensor  # [frames, moments, 2, 3]: affine maps from the picture to the canvas

    @classmethod
    def of(cls, canvas: Canvas, path: torch.Tensor) -> "_Layer":
        alpha = torch.from_numpy(canvas.alpha)[None, None]
        planes = torch.from_numpy(canvas.planes)[None]
        chroma = F.avg_pool2d(torch.cat([planes[:, 1:], alpha], dim=1), 2)
        return cls(torch.cat([planes[:, :1], alpha], dim=1), chroma, path)


@dataclass(frozen=True)
class _Shot:
    layers: list[_Layer]
    size: tuple[int, int]
    ripple: float

    @classmethod
    def arrange(
        cls, random: Generator, scene: str, size: tuple[int, int], fps: int, seconds: float
    ) -> "_Shot":
        width, height = size
        tall, wide = (_OVERSAMPLING * round(side * 1.4 / 4) * 4 for side in (height, width))
        detail = _OVERSAMPLING * float(np.exp(random.uniform(np.log(0.8), np.log(4.0))))
        back = paint_scene(random, scene, tall, wide, detail)
        front = paint_objects(random, tall, wide, detail) if random.random() < 0.6 else None
        _focus(random, back, front)
        count = round(seconds * fps)
        exposures = int(random.integers(2, 4)) if random.random() < 0.35 else 1
        calm = random.random() < 0.25
        layers = [_Layer.of(back, _path(random, count, fps, exposures, 0.0 if calm else 1.0))]
        if front is not None:
            layers.append(_Layer.of(front, _path(random, count, fps, exposures, 1.5)))
        return cls(layers, size, float(random.exponential(0.004)) if random.random() < 0.2 else 0.0)


def _focus(random: Generator, back: Canvas, front: Canvas | None) -> None:
    """Put a part out of focus: what lies behind, what is in front, or one side of the picture."""
    amount = _OVERSAMPLING * float(random.uniform(1.0, 6.0))
    choice = random.random()
    if front is not None and choice < 0.2:
        front.planes[:] = gaussian_filter(front.planes, (0, amount, amount))
        front.alpha[:] = gaussian_filter(front.alpha, amount)
    elif front is not None and choice < 0.45:
        back.planes[:] = gaussian_filter(back.planes, (0, amount, amount))
    elif choice < 0.65:
        height, width = back.alpha.shape
        ramp = np.linspace(-2, 3, height if random.random() < 0.5 else width, dtype=np.float32)
        weight = np.clip(ramp + random.uniform(-1, 1), 0, 1)
        weight = weight[:, None] if len(ramp) == height else weight[None, :]
        soft = gaussian_filter(back.planes, (0, amount, amount))
        back.planes[:] = back.planes + weight * (soft - back.planes)


def _path(random: Generator, count: int, fps: int, exposures: int, liveliness: float) -> torch.Tensor:
    """Pan, zoom, rotation and the shake of a hand: affine maps [count, exposures, 2, 3]."""
    moments = (np.arange(count)[:, None] + np.linspace(0, 0.5, exposures)[None, :]) / fps
    middle = moments - moments.mean()
    speed = liveliness * random.exponential(0.12, 2) * random.choice([-1, 1], 2)
    shake = liveliness * random.exponential(0.006)
    waves = random.uniform(0.7, 6.0, (3, 2)), random.uniform(0, 6.3, (3, 2))
    x, y = (
        speed[axis] * middle
        + shake * sum(np.sin(6.28 * waves[0][i, axis] * moments + waves[1][i, axis]) for i in range(3))
        for axis in (0, 1)
    )
    zoom = 0.7 * np.exp(liveliness * random.normal(0, 0.06) * middle)
    angle = random.normal(0, 0.1) + liveliness * random.normal(0, 0.05) * middle
    rows = [[zoom * np.cos(angle), -zoom * np.sin(angle), x], [zoom * np.sin(angle), zoom * np.cos(angle), y]]
    return torch.from_numpy(np.array(rows, np.float32)).permute(2, 3, 0, 1).contiguous()


def _exposed(random: Generator, shot: _Shot) -> Iterator[VideoFrame]:
    """Render, expose and add the sensor's noise, frame by frame."""
    width, height = shot.size
    count = shot.layers[0].path.shape[0]
    gain = np.exp(random.normal(0, 0.15)) * (1 + random.normal(0, 0.03) * np.linspace(-1, 1, count))
    contrast, lift = random.uniform(0.6, 1.1), random.normal(0, 12)
    noise = float(random.exponential(1.3)) if random.random() < 0.8 else 0.0
    coarse = random.random() < 0.4
    flicker = random.exponential(0.006) if random.random() < 0.2 else 0.0
    for number in range(count):
        luma, chroma = _render(shot, number)
        exposed = (luma - 128) * contrast * gain[number] * (1 + flicker * random.normal()) + 128 + lift
        grain = random.standard_normal((height, width), dtype=np.float32)
        if coarse:
            grain = 2.2 * gaussian_filter(grain, 0.7)
        # Shot noise: stronger in the light than in the dark, before the tone curve evens it out.
        exposed = exposed + noise * grain * np.sqrt(np.clip(exposed, 20, 255) / 128)
        hue = chroma + 0.5 * noise * random.standard_normal(chroma.shape, dtype=np.float32)
        planes = np.concatenate([exposed.ravel(), hue.ravel()]).reshape(height * 3 // 2, width)
        yield VideoFrame.from_ndarray(np.rint(planes).clip(16, 240).astype(np.uint8), format="yuv420p")


def _render(shot: _Shot, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Luma [H, W] and chroma [2, H / 2, W / 2] of one frame; motion blur is a mean over moments."""
    width, height = shot.size
    exposures = shot.layers[0].path.shape[1]
    lumas, chromas = [], []
    for moment in range(exposures):
        luma, chroma = torch.zeros(1), torch.zeros(1)
        for layer in shot.layers:
            theta = layer.path[number, moment]
            sampled = _sample(
                layer.luma, theta, (height * _OVERSAMPLING, width * _OVERSAMPLING), shot, number
            )
            luma = torch.lerp(luma.expand_as(sampled[:, :1]), sampled[:, :1], sampled[:, 1:])
            sampled = _sample(layer.chroma, theta, (height, width), shot, number)
            chroma = torch.lerp(chroma.expand_as(sampled[:, :2]), sampled[:, :2], sampled[:, 2:])
        lumas.append(luma)
        chromas.append(chroma)
    luma, chroma = (torch.stack(moments).mean(dim=0) for moments in (lumas, chromas))
    return F.avg_pool2d(luma, _OVERSAMPLING)[0, 0].numpy(), F.avg_pool2d(chroma, 2)[0].numpy()


def _sample(
    canvas: torch.Tensor, theta: torch.Tensor, size: tuple[int, int], shot: _Shot, number: int
) -> torch.Tensor:
    down, right = (torch.linspace(-1 + 1 / side, 1 - 1 / side, side) for side in size)
    x = theta[0, 0] * right + (theta[0, 1] * down + theta[0, 2])[:, None]
    y = theta[1, 0] * right + (theta[1, 1] * down + theta[1, 2])[:, None]
    grid = torch.stack([x, y], dim=-1)[None]  # [1, h, w, 2]
    if shot.ripple:
        grid = grid + shot.ripple * torch.sin(25 * grid.flip(-1) + 0.5 * number)
    return F.grid_sample(canvas, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _developed(random: Generator, frames: list[VideoFrame], fps: int) -> list[VideoFrame]:
    """What cameras and upload sites do before anybody looks: soften, scale, sharpen, compress lightly."""
    choice = random.random()
    first = frames[0]
    if choice < 0.35:
        frames = list(blurred(frames, float(random.uniform(0.3, 1.0))))
    elif choice < 0.6:
        share = random.uniform(0.55, 0.95)
        small = [max(16, 2 * round(share * side / 2)) for side in (first.width, first.height)]
        there = ("scale", f"{small[0]}:{small[1]}:flags=bicubic")
        back = ("scale", f"{first.width}:{first.height}:flags=bicubic")
        graph = filter_graph(first, there, back, ("format", "yuv420p"))
        frames = [filtered(graph, frame) for frame in frames]
    if random.random() < 0.3:
        graph = filter_graph(first, ("unsharp", f"5:5:{random.uniform(0.2, 1.0):.2f}:5:5:0"))
        frames = [filtered(graph, frame) for frame in frames]
    if random.random() < 0.6:
        times = [Fraction(index, fps) for index in range(len(frames))]
        with tempfile.TemporaryDirectory(prefix="camera-") as folder:
            crf = int(random.integers(14, 24))
            file = write_footage(Path(folder) / "take.mp4", frames, times, crf)
            frames = read_footage(file, seconds=60, max_lines=first.height + first.width).frames
    return frames
