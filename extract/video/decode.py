"""One decode pass over a video, giving every encoder the chunks that it asks for."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from extract.errors import CorruptVideo, NoFrames
from extract.video.claims import claims
from extract.video.clock import LARGEST_GAP_SECONDS, Clock
from extract.video.counted import AnyView
from extract.video.cutting import Cutter, cutter
from extract.video.damage import Damage, check_whole, warnings
from extract.video.pictures import PictureMaker, Source, orientation, pixel_aspect, shown_size
from extract.video.sampling import chunk_count
from extract.video.source import open_video
from extract.video.view import Chunk

AllocateChunk = Callable[[str, str, tuple[int, ...]], NDArray[np.uint8]]
"""(view, request, shape) → an array to fill; its content does not matter."""

DECODE_VERSION = 2
"""Part of every feature key: raised when the same request gives other pixels."""


@dataclass(frozen=True)
class VideoInfo:
    """What decoding a whole video showed.

    `width` and `height` are as shown, turned and with square pixels; `chunks` is the number of whole
    seconds, at least one.
    """

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


@dataclass(eq=False)
class Decoding(Iterator[tuple[str, Chunk]]):
    """(view, its next chunk), for all views as the video goes on; `info` is known when they are exhausted.

    An error may come after chunks have been given, as a truncated file shows only at its end: what was
    made of them is then to be thrown away.
    """

    path: Path
    views: Mapping[str, AnyView]
    threads: int
    allocate: AllocateChunk
    largest_gap_seconds: float

    def __post_init__(self) -> None:
        self._info: VideoInfo | None = None
        self._maker: PictureMaker | None = None
        self._seconds = 0.0
        self._chunks = self._run()

    def __next__(self) -> tuple[str, Chunk]:
        started = time.perf_counter()
        try:
            return next(self._chunks)
        except av.FFmpegError as error:
            raise CorruptVideo(
                f"{self.path}: a decoded frame cannot be converted: {error.strerror}"
            ) from error
        finally:
            self._seconds += time.perf_counter() - started

    def close(self) -> None:
        """Close the file, if the chunks are not to be read to the end."""
        self._chunks.close()

    @property
    def info(self) -> VideoInfo:
        """Facts of the whole video; only once every chunk has been read."""
        if self._info is None:
            raise RuntimeError(f"{self.path}: read all chunks before asking for the video's facts")
        return self._info

    @property
    def seconds(self) -> dict[str, float]:
        """How long decoding and resizing took so far."""
        resize = self._maker.seconds if self._maker else 0.0
        return {"decode": self._seconds - resize, "resize": resize}

    def _run(self) -> Generator[tuple[str, Chunk]]:
        with open_video(self.path, self.threads) as (container, stream):
            damage = Damage()
            clock = Clock(stream, str(self.path), self.largest_gap_seconds)
            cutters: dict[str, Cutter] = {}
            first: VideoFrame | None = None
            for frame in _frames(container, stream, damage):
                seconds = clock.read(frame)
                damage.inspect(frame)
                if first is None:
                    first = frame
                    self._maker = maker = PictureMaker(first, pixel_aspect(stream))
                    cutters = {
                        name: cutter(view, maker, clock.nominal_seconds, partial(self.allocate, name))
                        for name, view in self.views.items()
                    }
                source = Source(frame, maker)
                for name, cutting in cutters.items():
                    for chunk in cutting.add(source, seconds):
                        yield name, chunk
                source.settle()
            if first is None:
                raise NoFrames(f"{self.path}: not one frame decodes{damage.last_error}")
            clock.check_rate()
            claimed = claims(
                self.path, container, stream, damage.start_ticks, damage.read_bytes, damage.missing_start
            )
            check_whole(self.path, clock, damage, claimed)
            self._info = _info(first, stream, clock, warnings(clock, damage, claimed))
            for name, cutting in cutters.items():
                for chunk in cutting.finish(clock.duration_seconds, clock.frame_seconds):
                    yield name, chunk


def decode(
    path: Path,
    views: Mapping[str, AnyView],
    threads: int = 1,
    allocate: AllocateChunk = lambda _view, _request, shape: np.empty(shape, np.uint8),
    largest_gap_seconds: float = LARGEST_GAP_SECONDS,
) -> Decoding:
    """Decode the video once and give, chunk by chunk, the frames that each view asks for.

    `views`: by any name, such as the encoder's. `threads`: of the decoder; 0 is all cores, but then a
    damaged video may give other pictures on another machine. `allocate` is asked for the array of each
    chunk and request: a new one, if not given; arrays that come again spare much time. Memory is bounded
    by the frames of one chunk. A gap between frames of more than `largest_gap_seconds` is taken for a
    broken time table. Raises UnreadableVideo while iterating.
    """
    return Decoding(path, views, threads, allocate, largest_gap_seconds)


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
        if packet is not None:
            damage.packet_read(packet)
        try:
            frames = stream.decode(packet)
        except av.FFmpegError as error:
            if packet is None or not packet.is_discard:  # of a hidden frame, nothing is lost
                damage.decoding_failed(error)
            frames = []
        yield from frames
        if packet is None:
            return


def _info(first: VideoFrame, stream: VideoStream, clock: Clock, warnings: tuple[str, ...]) -> VideoInfo:
    height, width = shown_size(first, orientation(first), pixel_aspect(stream))
    return VideoInfo(
        width=width,
        height=height,
        fps=float(1 / clock.frame_seconds),
        duration_seconds=float(clock.duration_seconds),
        frames=clock.frames,
        chunks=chunk_count(clock.duration_seconds, clock.frame_seconds),
        codec=stream.codec_context.name,
        pixel_format=first.format.name,
        rotation=first.rotation,
        warnings=warnings,
    )
