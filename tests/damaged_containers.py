"""Containers whose claims are wrong, and what is shown of them all the same."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from extract.video.sampling import chunk_count, frame_indices

SIDE = 16
LEVELS = 70
TICK = Fraction(1, 90_000)


@dataclass(frozen=True)
class Shown:
    """What there is to see: frame numbers (modulo LEVELS) and their times in seconds from the first."""

    numbers: tuple[int, ...]
    times: tuple[Fraction, ...]
    last_seconds: Fraction

    def part(self, start: int, stop: int) -> "Shown":
        """Some of the frames, as a video of their own."""
        times = tuple(time - self.times[start] for time in self.times[start:stop])
        return replace(self, numbers=self.numbers[start:stop], times=times)

    def followed_by(self, other: "Shown", interval: Fraction) -> "Shown":
        """Joined: the other's first frame comes an interval after this one's last."""
        start = self.times[-1] + interval
        times = (*self.times, *(start + time for time in other.times))
        return Shown((*self.numbers, *other.numbers), times, other.last_seconds)

    def chunks(self, count: int) -> list[list[int]]:
        """The frames of each second, `count` spread evenly; where there are none, the last one before."""
        frames = len(self.times)
        interval = self.times[-1] / (frames - 1) if frames > 1 else self.last_seconds
        chunks = []
        for second in range(chunk_count(self.times[-1] + self.last_seconds, interval)):
            own = [n for n, time in zip(self.numbers, self.times, strict=True) if second <= time < second + 1]
            before = [n for n, time in zip(self.numbers, self.times, strict=True) if time < second]
            shown = own or before[-1:]
            chunks.append([shown[index] for index in frame_indices(len(shown), count, "uniform")])
        return chunks


def numbered(times: Sequence[Fraction], last_seconds: Fraction) -> Shown:
    """Frames 0, 1, 2 … at those times."""
    return Shown(tuple(n % LEVELS for n in range(len(times))), tuple(times), last_seconds)


def record(
    path: Path,
    shown: Shown,
    offset: Fraction = Fraction(0),
    claimed_last: Fraction | None = None,
    options: dict[str, str] | None = None,
    codec: str | None = None,
    settings: dict[str, str] | None = None,
) -> Path:
    """Record the frames without loss, beginning at `offset`; the last packet claims to last so long."""
    raw = path.suffix == ".y4m"
    with av.open(str(path), "w", format="yuv4mpegpipe" if raw else None, options=options or {}) as container:
        if codec is None:
            codec = "rawvideo" if raw else "ffv1" if path.suffix == ".avi" else "libx264"
            settings = {"qp": "0", "preset": "ultrafast", "g": "12"} if codec == "libx264" else {}
        rate = 1 / shown.last_seconds
        stream = container.add_stream(codec, rate=rate, options=settings)
        stream.height = stream.width = SIDE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        time_base = TICK if codec == "libx264" else shown.last_seconds
        stream.codec_context.time_base = time_base
        packets = []
        for number, time in zip(shown.numbers, shown.times, strict=True):
            frame = av.VideoFrame.from_ndarray(_planes(number), format="yuv420p")
            frame.pts, frame.time_base = round((time + offset) / time_base), time_base
            frame.duration = round(shown.last_seconds / time_base)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if claimed_last is not None:
            packets[-1].duration = round(claimed_last / packets[-1].time_base)
        for packet in packets:
            container.mux(packet)
    return path


def cut_out(path: Path, target: Path, group: int, frames: int, options: dict[str, str]) -> Path:
    """Copy some packets, from a key frame on, without encoding them again: `group` counts key frames."""
    with av.open(str(path)) as source, av.open(str(target), "w", options=options) as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        start = [number for number, packet in enumerate(packets) if packet.is_keyframe][group]
        for packet in packets[start : start + frames]:
            packet.stream = stream
            container.mux(packet)
    return target


def seen_numbers(luma: np.ndarray) -> list[int]:
    """Frame numbers of decoded luma planes [count, H, W]."""
    return [round(float(plane.mean()) * 219 / 255 / 3) for plane in luma]


def hide(path: Path, shown: Shown, before: int, after: int) -> Path:
    """Let an MP4's edit list hide frames at either end."""
    data = bytearray(path.read_bytes())
    timescale = _field(data, b"mdhd", 12)
    movie_timescale = _field(data, b"mvhd", 12)
    assert _field(data, b"elst", 4) == 1
    kept = shown.part(before, len(shown.times) - after)
    seconds = kept.times[-1] + shown.last_seconds
    _patch(data, b"elst", 8, int(seconds * movie_timescale))
    _patch(data, b"elst", 12, _field(data, b"elst", 12) + round(shown.times[before] * timescale))
    path.write_bytes(data)
    return path


def declare_length(path: Path, factor: int) -> Path:
    """Multiply the durations in an MP4's headers."""
    data = bytearray(path.read_bytes())
    for box, at in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):
        _patch(data, box, at, min(2**32 - 2, factor * _field(data, box, at)))
    path.write_bytes(data)
    return path


def count_finer(path: Path, factor: int) -> Path:
    """Multiply an MP4's ticks in a second: all times shrink by that."""
    data = bytearray(path.read_bytes())
    _patch(data, b"mdhd", 12, min(2**31 - 1, factor * _field(data, b"mdhd", 12)))
    path.write_bytes(data)
    return path


def cut(path: Path, share: float) -> Path:
    """Keep only that share of the file's bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def _planes(number: int) -> np.ndarray:
    planes = np.full((SIDE * 3 // 2, SIDE), 128, np.uint8)
    planes[:SIDE] = 16 + 3 * number
    return planes


def _field(data: bytes, box: bytes, at: int) -> int:
    """A 32-bit field of a box of version 0, counted from after the box's name."""
    (value,) = struct.unpack_from(">I", data, data.index(box) + 4 + at)
    return int(value)


def _patch(data: bytearray, box: bytes, at: int, value: int) -> None:
    struct.pack_into(">I", data, data.index(box) + 4 + at, value)
