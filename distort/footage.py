"""Decoded frames of the beginning of a video, and libavfilter's filters for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from extract.errors import CorruptVideo, NoFrames
from extract.video.clock import Clock
from extract.video.pictures import orientation, shown_size
from extract.video.source import open_video

_TRANSPOSED = "cclock_flip"
TIME_BASE = Fraction(1, 90_000)

Frames = Iterator[tuple[VideoFrame, Fraction]]
"""Frames as in Footage, each with its time in seconds."""


@dataclass(frozen=True)
class Footage:
    """Frames (yuv420p, even sides, shown upright) and the time of each, in seconds from the first."""

    frames: list[VideoFrame]
    times: list[Fraction]

    @property
    def fps(self) -> float:
        """Mean frame rate; 25 where there is but one frame."""
        return (
            float((len(self.times) - 1) / self.times[-1]) if len(self.times) > 1 and self.times[-1] else 25.0
        )


def read_footage(video: Path, seconds: float, max_lines: int) -> Footage:
    """The first `seconds` of a video; frames whose shorter side exceeds `max_lines` are scaled down to it.

    Raises UnreadableVideo.
    """
    samples = list(read_frames(video, seconds, max_lines))
    return Footage([frame for frame, _ in samples], [time for _, time in samples])


def read_frames(video: Path, seconds: float, max_lines: int, threads: int = 0) -> Frames:
    """As `read_footage`, one frame after another; `threads` decode, 0: one for each core."""
    count = 0
    try:
        with open_video(video, threads) as (container, stream):
            clock = Clock(stream, str(video))
            graph = None
            for frame in container.decode(stream):
                time = clock.read(frame)
                if time >= seconds:
                    break
                graph = graph or _upright_and_scaled(frame, max_lines)
                count += 1
                yield filtered(graph, frame), time
    except av.FFmpegError as error:
        raise CorruptVideo(f"{video}: decoding stops after {count} frames: {error.strerror}") from error
    if not count:
        raise NoFrames(f"{video}: not one frame decodes")


def filter_graph(like: VideoFrame, *filters: tuple[str, str]) -> Graph:
    """libavfilter's filters, in order, as (name, arguments), for frames of the form of `like`."""
    graph = Graph()
    nodes = [graph.add_buffer(width=like.width, height=like.height, format=like.format, time_base=TIME_BASE)]
    nodes += [graph.add(name, arguments) for name, arguments in filters]
    nodes.append(graph.add("buffersink"))
    graph.link_nodes(*nodes)
    graph.configure()
    return graph


def filtered(graph: Graph, frame: VideoFrame) -> VideoFrame:
    """One frame through a graph that keeps the number of frames."""
    graph.vpush(frame)
    return graph.vpull()


def _upright_and_scaled(frame: VideoFrame, max_lines: int) -> Graph:
    shown = orientation(frame)
    height, width = shown_size(frame, shown)
    share = min(1.0, max_lines / min(height, width))
    height, width = (max(2, 2 * round(side * share / 2)) for side in (height, width))
    scale = f"{width}:{height}:flags=bicubic+accurate_rnd+full_chroma_int:out_range=tv"
    steps = {"transpose": shown.transposed, "vflip": shown.rows_reversed, "hflip": shown.columns_reversed}
    turned = [(name, _TRANSPOSED if name == "transpose" else "") for name, needed in steps.items() if needed]
    return filter_graph(frame, *turned, ("scale", scale), ("format", "yuv420p"))
