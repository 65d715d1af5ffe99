"""Encoders: frames to a file, and frames through an encoder and back."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.codec import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from distort.footage import TIME_BASE, Frames
from distort.priority import ordinary_priority

TRANSPARENT_CRF = 12

os.environ.setdefault("SVT_LOG", "1")  # errors alone; it reads nothing but its environment


@dataclass(frozen=True)
class Encoder:
    """An encoder whose output depends on nothing but its input: it works in one thread."""

    name: str
    decoder: str
    options: dict[str, str]
    """Options for libavcodec; {crf} stands for the constant rate factor."""


ENCODERS = {
    # x264's macroblock tree, where it uses AVX-512, gives other bits from one run to the next.
    "h264": Encoder("libx264", "h264", {"crf": "{crf}", "preset": "veryfast", "x264-params": "mbtree=0"}),
    "h265": Encoder(
        "libx265",
        "hevc",
        {
            "crf": "{crf}",
            "preset": "veryfast",
            "x265-params": "pools=none:frame-threads=1:wpp=0:log-level=error",
        },
    ),
    # SVT-AV1 goes up to 70, the option crf of libavcodec to 63.
    "av1": Encoder("libsvtav1", "libdav1d", {"preset": "9", "svtav1-params": "lp=1:crf={crf}"}),
}


@dataclass(frozen=True)
class Coding:
    """An encoder of ENCODERS and its constant rate factor."""

    encoder: str
    crf: float
    preset: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """For libavcodec."""
        templates = ENCODERS[self.encoder].options
        options = {name: value.format(crf=f"{self.crf:g}") for name, value in templates.items()}
        return options | ({"preset": self.preset} if self.preset else {})


TRANSPARENT = Coding("h264", TRANSPARENT_CRF)
"""What it takes away is hardly visible: how everything is encoded that is not to show compression."""


def write_footage(
    target: Path, frames: Iterable[VideoFrame], times: Sequence[Fraction], crf: int, preset: str = "veryfast"
) -> Path:
    """Encode yuv420p frames with x264 into an .mp4 file, which appears only when it is complete.

    `times`: of the frames, in seconds. One thread, so that the file does not depend on the number of cores.
    """
    partial = target.with_name(f"{target.stem}.partial{target.suffix}")
    interval = (times[-1] / (len(times) - 1)) if len(times) > 1 else Fraction(1, 25)
    write_frames(partial, zip(frames, times, strict=True), interval, Coding("h264", crf, preset))
    partial.replace(target)
    return target


def write_frames(file: Path, frames: Frames, interval: Fraction, coding: Coding) -> None:
    """Encode yuv420p frames into an .mp4 file; `interval`: seconds from frame to frame."""
    with av.open(str(file), "w", format="mp4") as container:
        stream = container.add_stream(ENCODERS[coding.encoder].name, rate=_rate(interval))
        assert isinstance(stream, VideoStream)
        first, time = next(frames)
        _set_up(stream.codec_context, first, coding)
        for frame, at in chain([(first, time)], frames):
            container.mux(stream.encode(_stamped(frame, at)))
        container.mux(stream.encode(None))


def recoded(frames: Frames, interval: Fraction, coding: Coding) -> Frames:
    """The frames through an encoder and back. The encoder looks ahead; so many frames are held, not more."""
    encoder = ENCODERS[coding.encoder]
    first, time = next(frames)
    writer = CodecContext.create(encoder.name, "w")
    reader = CodecContext.create(encoder.decoder, "r")
    assert isinstance(writer, VideoCodecContext) and isinstance(reader, VideoCodecContext)
    writer.framerate = _rate(interval)
    _set_up(writer, first, coding)
    reader.thread_count = 1
    times = []
    for frame, at in chain([(first, time)], frames):
        times.append(at)
        for shown in _decoded(reader, writer.encode(_stamped(frame, at))):
            yield shown, times.pop(0)
    for shown in [*_decoded(reader, writer.encode(None)), *reader.decode(None)]:
        yield shown, times.pop(0)


def _decoded(reader: VideoCodecContext, packets: "Iterable[Packet[Any]]") -> Iterable[VideoFrame]:
    for packet in packets:
        yield from reader.decode(packet)


def _set_up(context: VideoCodecContext, like: VideoFrame, coding: Coding) -> None:
    context.width, context.height, context.pix_fmt = like.width, like.height, "yuv420p"
    context.time_base = TIME_BASE
    context.thread_count = 1
    context.options = coding.options
    with ordinary_priority():
        context.open()


def _stamped(frame: VideoFrame, time: Fraction) -> VideoFrame:
    frame.pts, frame.time_base = round(time / TIME_BASE), TIME_BASE
    frame.pict_type = 0
    return frame


def _rate(interval: Fraction) -> Fraction:
    return (1 / interval).limit_denominator(1001)
