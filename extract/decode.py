"""One decode pass over a video, giving every encoder the frames of each one-second chunk."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from extract.clock import Clock
from extract.damage import Damage, check_whole, warnings
from extract.encoders.base import Chunk, FrameRequest
from extract.errors import CorruptVideo, NoFrames
from extract.pictures import HeldFrame, PictureMaker, quarter_turns
from extract.sampling import chunk_count, chunk_of, frame_indices
from extract.source import declared_seconds, open_video

DECODE_VERSION = 1
"""Part of every feature key: raised when the same request gives other pixels."""

_HELD_BYTES = 256 * 2**20


@dataclass(frozen=True)
class VideoInfo:
    """What decoding a whole video showed. `width` and `height` are as shown, after rotation."""

    width: int
    height: int
    fps: float
    duration_seconds: float
    frames: int
    chunks: int
    codec: str
    pixel_format: str
    rotation: int
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {**asdict(self), "warnings": list(self.warnings)}


class Decoding(Iterator[Chunk]):
    """The chunks of one video, in order; `info` is known when they are exhausted.

    An error may come after chunks have been given, as a truncated file shows only at its end: what was
    made of them is then to be thrown away.
    """

    def __init__(self, path: Path, requests: Mapping[str, FrameRequest], threads: int) -> None:
        self._path = path
        self._requests = requests
        self._info: VideoInfo | None = None
        self._chunks = self._run(threads)

    def __next__(self) -> Chunk:
        try:
            return next(self._chunks)
        except av.FFmpegError as error:
            raise CorruptVideo(
                f"{self._path}: a decoded frame cannot be converted: {error.strerror}"
            ) from error

    def close(self) -> None:
        """Close the file, if the chunks are not to be read to the end."""
        self._chunks.close()

    @property
    def info(self) -> VideoInfo:
        """Facts of the whole video; only once every chunk has been read."""
        if self._info is None:
            raise RuntimeError(f"{self._path}: read all chunks before asking for the video's facts")
        return self._info

    def _run(self, threads: int) -> Generator[Chunk]:
        with open_video(self._path, threads) as (container, stream):
            damage = Damage()
            clock = Clock(stream, str(self._path))
            pending: _PendingChunk | None = None
            for frame in _frames(container, stream, damage):
                seconds = clock.read(frame)
                damage.inspect(frame)
                if pending is None:
                    first = frame
                    pending = _PendingChunk(self._requests, PictureMaker(self._requests, frame))
                while pending.index < chunk_of(seconds):
                    yield pending.finish()
                pending.add(frame)
            if pending is None:
                raise NoFrames(f"{self._path}: not one frame decodes{damage.last_error}")
            clock.check_rate()
            declared = declared_seconds(container, stream), stream.frames
            check_whole(self._path, clock, damage, *declared)
            count = chunk_count(clock.duration_seconds, clock.frame_seconds)
            self._info = _info(first, stream, clock, count, warnings(clock, damage, *declared))
            while pending.index < count:
                yield pending.finish()


def decode(path: Path, requests: Mapping[str, FrameRequest], threads: int = 1) -> Decoding:
    """Decode the video once and give, chunk by chunk, the frames that each request asks for.

    `requests`: name → what to take of each second; the same names stand in `Chunk.frames`. `threads`: of
    the decoder; 0 is all cores, but then a damaged video may give other pictures on another machine. Memory
    is bounded by one chunk. Raises UnreadableVideo while iterating.
    """
    return Decoding(path, requests, threads)


class _PendingChunk:
    """The chunk being read. A chunk without frames of its own shows the last frame before it."""

    def __init__(self, requests: Mapping[str, FrameRequest], maker: PictureMaker) -> None:
        self.index = 0
        self._requests = requests
        self._maker = maker
        self._held: list[HeldFrame] = []
        self._held_bytes = 0
        self._before: list[HeldFrame] = []

    def add(self, frame: VideoFrame) -> None:
        held = HeldFrame(frame)
        self._held.append(held)
        self._held_bytes += held.bytes
        # Only the chosen frames are scaled, at the end of the chunk, unless a second of frames is too large.
        if self._held_bytes > _HELD_BYTES:
            for large in self._held:
                self._maker.drop_frame(large)
            self._held_bytes = 0

    def finish(self) -> Chunk:
        """The chunk's pictures; the next chunk begins."""
        held = self._held or self._before
        frames = {}
        for name, request in self._requests.items():
            chosen = frame_indices(len(held), request.count, request.rule)
            # uint8 [count, H, W, 3] or [count, H, W]
            frames[name] = np.stack([self._maker.picture(held[index], name) for index in chosen])
        chunk = Chunk(self.index, float(self.index), frames)
        self._before, self._held, self._held_bytes = held[-1:], [], 0
        self.index += 1
        return chunk


def _frames(container: InputContainer, stream: VideoStream, damage: Damage) -> Iterator[VideoFrame]:
    """Every frame that decodes, in presentation order; what does not is counted and passed over."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError as error:
            damage.decoding_failed(error)
            packet = None
        try:
            frames = stream.decode(packet)
        except av.FFmpegError as error:
            damage.decoding_failed(error)
            frames = []
        yield from frames
        if packet is None:
            return


def _info(
    first: VideoFrame, stream: VideoStream, clock: Clock, chunks: int, warnings: tuple[str, ...]
) -> VideoInfo:
    turned = quarter_turns(first) % 2 == 1
    return VideoInfo(
        width=first.height if turned else first.width,
        height=first.width if turned else first.height,
        fps=float(1 / clock.frame_seconds),
        duration_seconds=float(clock.duration_seconds),
        frames=clock.frames,
        chunks=chunks,
        codec=stream.codec_context.name,
        pixel_format=first.format.name,
        rotation=first.rotation,
        warnings=warnings,
    )
