"""Frames and numbers of the original MATLAB programs of VIDEVAL, as ../shared/data holds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.encoders.videval.resize import imresize

Plane = NDArray[np.float64]

CLIPS = (
    "synth_160x120",
    "5115335471_160x120",
    "video-1621367634_160x120",
    "video-1621367634_320x180",
)


@dataclass(frozen=True)
class Golden:
    frames: list[tuple[Plane, Plane, Plane]]
    """Three frames' Y, U and V [H, W], 0..255; the numbers are those of the second."""
    numbers: Mapping[str, NDArray[Any]]


def golden(shared_data: Path, clip: str) -> Golden:
    numbers = np.load(shared_data / "reference" / "videval" / f"gold_{clip}.npz")
    width, height = (int(side) for side in numbers["wh"])
    frames = []
    for raw in numbers["raw_yuv420_3frames"].reshape(3, -1).astype(np.float64):
        y, u, v = np.split(raw, [width * height, width * height * 5 // 4])
        halves = [imresize(chroma.reshape(height // 2, width // 2), 2.0) for chroma in (u, v)]
        frames.append((y.reshape(height, width), *halves))
    return Golden(frames, numbers)
