"""The same frames in many containers and codecs, without loss, with any timestamps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

SIZE = (48, 64)
TICK = Fraction(1, 90_000)


@dataclass(frozen=True)
class Kind:
    """A container (by suffix) and a codec that loses nothing of frames of that pixel format."""

    suffix: str
    codec: str
    options: dict[str, str] = field(default_factory=dict)
    pixel_format: str = "yuv420p"
    container_format: str | None = None

    def __str__(self) -> str:
        return f"{self.codec}-{self.suffix}"


H264 = {"qp": "0", "preset": "ultrafast"}
H264_B = {"qp": "0", "preset": "veryfast", "bf": "2"}
H265 = {"x265-params": "lossless=1:log-level=error", "preset": "ultrafast"}
VP9 = {"lossless": "1", "cpu-used": "8"}
YUV_KINDS = [
    Kind("mkv", "ffv1"),
    Kind("nut", "ffv1"),
    Kind("avi", "ffv1"),
    Kind("webm", "libvpx-vp9", VP9),
    Kind("mp4", "libvpx-vp9", VP9),
    Kind("ivf", "libvpx-vp9", VP9),
    Kind("avi", "ffvhuff"),
    Kind("avi", "utvideo"),
    Kind("avi", "magicyuv"),
    Kind("avi", "rawvideo"),
    Kind("nut", "rawvideo"),
    Kind("y4m", "rawvideo", container_format="yuv4mpegpipe"),
    Kind("mxf", "jpeg2000", {"pred": "1"}),
]
SITED_KINDS = [
    Kind("mp4", "libx264", H264_B),
    Kind("mov", "libx264", H264_B),
    Kind("mkv", "libx264", H264_B),
    Kind("flv", "libx264", H264_B),
    Kind("ts", "libx264", H264_B),
    Kind("nut", "libx264", H264_B),
    Kind("3gp", "libx264", H264),
    Kind("avi", "libx264", H264),
    Kind("asf", "libx264", H264),
    Kind("h264", "libx264", H264),
    Kind("mp4", "libx265", H265),
    Kind("mkv", "libx265", H265),
]
"""These two codecs say where chroma is sampled: the colours of the same planes are interpolated otherwise."""
RGB_KINDS = [
    Kind("mov", "png", pixel_format="rgb24"),
    Kind("avi", "png", pixel_format="rgb24"),
    Kind("nut", "png", pixel_format="rgb24"),
    Kind("apng", "apng", pixel_format="rgb24"),
    Kind("mov", "qtrle", pixel_format="rgb24"),
    Kind("mkv", "libx264rgb", H264, "rgb24"),
    Kind("avi", "huffyuv", pixel_format="rgb24"),
]


def pictures(count: int, size: tuple[int, int] = SIZE) -> list[NDArray[np.uint8]]:
    """uint8 [H, W, 3] each: a gradient that wanders, so that no two are alike."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    colours = [(3 * rows, 5), (2 * columns, 7), (rows + columns, 11)]
    return [
        np.stack([(plane + step * n) % 256 for plane, step in colours], -1).astype(np.uint8)
        for n in range(count)
    ]


def write(
    path: Path,
    kind: Kind,
    times: Sequence[Fraction],
    rate: Fraction = Fraction(25),
    size: tuple[int, int] = SIZE,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write one frame for each time (in seconds)."""
    with av.open(str(path), "w", format=kind.container_format, options=container_options or {}) as container:
        stream = container.add_stream(kind.codec, rate=rate, options=kind.options)
        stream.height, stream.width = size
        stream.pix_fmt = kind.pixel_format
        stream.codec_context.thread_count = 1
        ticks = [round(time * rate) for time in times]
        regular = all(Fraction(tick) / rate == time for tick, time in zip(ticks, times, strict=True))
        time_base = 1 / rate if regular else TICK
        stream.codec_context.time_base = time_base
        for picture, time in zip(pictures(len(times), size), times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=kind.pixel_format)
            frame.pts, frame.time_base = round(time / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
