"""Decoded frames of the beginning of a video, and x264 files made of frames."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from extract.errors import CorruptVideo, NoFrames
from extract.video.clock import Clock
from extract.video.pictures import orientation, shown_size
from extract.video.source import open_video

_TRANSPOSED = "cclock_flip"
_TIME_BASE = Fraction(1, 90_000)


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
    frames, times = [], []
    try:
        with open_video(video, threads=0) as (container, stream):
            clock = Clock(stream, str(video))
            graph = None
            for frame in container.decode(stream):
                time = clock.read(frame)
                if time >= seconds:
                    break
                graph = graph or _upright_and_scaled(frame, max_lines)
                frames.append(filtered(graph, frame))
                times.append(time)
    except av.FFmpegError as error:
        raise CorruptVideo(f"{video}: decoding stops after {len(frames)} frames: {error.strerror}") from error
    if not frames:
        raise NoFrames(f"{video}: not one frame decodes")
    return Footage(frames, times)


def write_footage(
    target: Path, frames: Iterable[VideoFrame], times: Sequence[Fraction], crf: int, preset: str = "veryfast"
) -> Path:
    """Encode yuv420p frames with x264 into an .mp4 file, which appears only when it is complete.

    `times`: of the frames, in seconds. One thread, so that the file does not depend on the number of cores.
    """
    partial = target.with_name(f"{target.stem}.partial{target.suffix}")
    interval = (times[-1] / (len(times) - 1)) if len(times) > 1 else Fraction(1, 25)
    with av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=(1 / interval).limit_denominator(1001))
        first = next(remaining := iter(frames))
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, "yuv420p"
        stream.codec_context.time_base = _TIME_BASE
        stream.codec_context.thread_count = 1
        # x264's macroblock tree, where it uses AVX-512, gives other bits from one run to the next.
        stream.options = {"crf": str(crf), "preset": preset, "x264-params": "mbtree=0"}
        for frame, time in zip(chain([first], remaining), times, strict=True):
            frame.pts, frame.time_base = round(time / _TIME_BASE), _TIME_BASE
            frame.pict_type = 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    partial.replace(target)
    return target


def filter_graph(like: VideoFrame, *filters: tuple[str, str]) -> Graph:
    """libavfilter's filters, in order, as (name, arguments), for frames of the form of `like`."""
    graph = Graph()
    nodes = [graph.add_buffer(width=like.width, height=like.height, format=like.format, time_base=_TIME_BASE)]
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
