"""Small videos with known content, encoded when a test needs them."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def frame_picture(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 [H, W, 3]: noise that is the same for every frame, whose brightness tells the frame's index."""
    noise = np.random.default_rng(7).integers(0, 60, (*size, 3), dtype=np.uint8)
    picture: NDArray[np.uint8] = noise + np.uint8(3 * index % 195)
    return picture


def encode(
    path: Path,
    frames: int = 60,
    rate: int = 30,
    size: tuple[int, int] = (64, 96),
    codec: str = "libx264",
    container_format: str | None = None,
    options: Mapping[str, str] | None = None,
    rotation: float | None = None,
    picture: NDArray[np.uint8] | None = None,
    times: list[Fraction] | None = None,
    pixel_format: str = "yuv420p",
) -> Path:
    """Encode `frames` pictures (or one picture again and again) and return the path.

    `times`: presentation time of each frame in seconds, for a variable frame rate.
    """
    with av.open(str(path), "w", format=container_format, options=dict(options or {})) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = size
        stream.pix_fmt = pixel_format
        stream.gop_size = 10
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for index in range(frames):
            shown = frame_picture(index, size) if picture is None else picture
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            if times is not None:
                frame.time_base = Fraction(1, 1000)
                frame.pts = int(times[index] * 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut_in_half(path: Path, target: Path) -> Path:
    """The first half of the file's bytes, as an interrupted copy leaves them."""
    data = path.read_bytes()
    target.write_bytes(data[: len(data) // 2])
    return target
