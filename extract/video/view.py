"""How an encoder looks at a video: chunks, the frames it wants of each, and what they come as."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from extract.video.sampling import Rule, Tail, chunk_count

Resize = Literal["stretch", "crop", "pad"]
Interpolation = Literal["bilinear", "bicubic"]

Allocate = Callable[[str, tuple[int, ...]], NDArray[np.uint8]]
"""(request, shape) → an array to fill, such as one in shared memory; its content does not matter."""


@dataclass(frozen=True)
class FrameRequest:
    """The frames that an encoder wants of every chunk.

    count: how many; 0 with the rule `all`.
    rule: `first` takes the chunk's first frames (count 1 is LMM-VQA's key frame), `middle` the centre
        ones, `uniform` indices evenly spread over the chunk, `all` every source frame. A chunk with fewer
        frames than `count` repeats its last one.
    size: (height, width) of every frame, or None for native resolution.
    resize: how a frame comes to that size: `stretch` ignores its aspect ratio, `crop` scales the shorter
        side and takes the centre, `pad` scales the longer side and adds black borders.
    interpolation: the antialiased filter that scales.
    max_lines: with size None, frames whose shorter side exceeds this are scaled down to it, keeping
        their aspect ratio.
    colour: `rgb` gives planar uint8 [count, 3, H, W]; `luma` the full-range luma plane, uint8 [count, H, W];
        `yuv420`, for native resolution alone, the three planes as they are stored, 8 bits in limited range,
        uint8 [count, H * 3/2, W]. Of an odd H or W, the last row or column is left out.
    """

    count: int
    rule: Rule = "uniform"
    size: tuple[int, int] | None = None
    resize: Resize = "stretch"
    interpolation: Interpolation = "bilinear"
    max_lines: int | None = None
    colour: Literal["rgb", "luma", "yuv420"] = "rgb"

    def __post_init__(self) -> None:
        if (self.rule == "all") != (self.count == 0) or self.count < 0:
            raise ValueError(
                f"count is {self.count} with the rule {self.rule!r}: 0 means `all`, and only that"
            )
        if self.colour == "yuv420" and (self.size or self.max_lines):
            raise ValueError("yuv420 is for frames of native resolution: leave out size and max_lines")


@dataclass(frozen=True)
class View:
    """How an encoder looks at a video: chunks of equal length, and the frames it wants of each.

    requests: name → frames.
    chunk_seconds: chunk i covers [i, i + 1) times this, counted from the first frame.
    tail: whether a last chunk that the video does not fill is kept; a video has at least one chunk.
    margin: frames of the neighbouring chunks that requests with the rule `all` are given along on either
        side; fewer at the ends of the video.
    multiple: with the rule `all`, frames at the end that do not fill a multiple of so many are left out,
        unless the video has fewer.
    """

    requests: Mapping[str, FrameRequest]
    chunk_seconds: Fraction = Fraction(1)
    tail: Tail = "drop"
    margin: int = 0
    multiple: int = 1

    def __post_init__(self) -> None:
        rules = {request.rule == "all" for request in self.requests.values()}
        if len(rules) != 1 or ((self.margin or self.multiple > 1) and rules != {True}):
            raise ValueError(
                "a view asks for frames by the rule `all` alone, or has neither it nor a margin or a multiple"
            )

    def count(self, duration_seconds: Fraction, frame_seconds: Fraction) -> int:
        """How many chunks a video has; see chunk_count."""
        return chunk_count(duration_seconds, frame_seconds, self.chunk_seconds, self.tail)


@dataclass(frozen=True)
class Chunk:
    """A stretch of a video as one encoder asked for it."""

    index: int
    start_seconds: float
    frames: Mapping[str, NDArray[np.uint8]]
    """Request name → uint8 [count, 3, H, W] (rgb), [count, H, W] (luma) or [count, H * 3/2, W] (yuv420)."""
    before: int = 0
    after: int = 0
    """How many of the frames, at either end of the requests with the rule `all`, are the neighbours'."""
