"""Generated videos to measure with."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from demo.scenes import film
from distort.coding import write_footage


def painted_video(path: Path, width: int, height: int, seconds: int) -> Path:
    """A second of a painted scene, shown to and fro, encoded with x264 as phones and platforms do."""
    clip = film(np.random.default_rng(0), 1.0, ((width, height),))
    to_and_fro = [*range(clip.fps), *reversed(range(clip.fps))] * (seconds // 2)
    frames = (av.VideoFrame.from_ndarray(clip.frames[index], format="yuv420p") for index in to_and_fro)
    times = [Fraction(number, clip.fps) for number in range(len(to_and_fro))]
    return write_footage(path, frames, times, crf=20, preset="medium")


def painted_sources(folder: Path, count: int, seconds: float, size: tuple[int, int]) -> None:
    """Pristine clips NNN.mp4 of `size` (width, height), each of a scene of its own; what is there is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        target = folder / f"{number:03}.mp4"
        if not target.exists():
            clip = film(np.random.default_rng([0, number]), seconds, (size,)).footage()
            write_footage(target, clip.frames, clip.times, crf=12)
