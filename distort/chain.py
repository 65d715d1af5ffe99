"""One worse copy of a video: its parts, one after the other, over a stream of frames."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from distort.coding import TRANSPARENT, Coding, recoded, write_frames
from distort.footage import Footage, Frames, read_frames
from distort.kinds import KINDS, Kinds, Part, in_order, kind_of, number_of
from distort.pictures import PICTURES
from distort.timing import HOLDS, Stall, held, stall_spans, stalled, stalls, still_spans

VERSION = 1
"""Of what kinds and strengths do to frames: raised with every change of theirs."""

MAX_LINES = 540
"""Frames whose shorter side is longer are scaled down to it."""

Span = tuple[float, float]
"""Seconds, from and to."""


@dataclass(frozen=True)
class Extent:
    """How long a video is, as far as it is used."""

    frames: int
    interval: Fraction
    """Mean seconds from frame to frame."""

    @property
    def seconds(self) -> float:
        """With the last frame's."""
        return float(self.frames * self.interval)

    @property
    def fps(self) -> float:
        """Frames in a second."""
        return float(1 / self.interval)

    def longer_by(self, waits: Sequence[Stall]) -> "Extent":
        """With these waits."""
        return replace(self, frames=self.frames + sum(wait.frames for wait in waits))

    def frames_in(self, stretch: Span | None) -> tuple[int, int]:
        """Number of the first frame of the stretch, and how many it has."""
        if stretch is None:
            return 0, self.frames
        first, last = (min(self.frames, int(np.ceil(round(end * self.fps, 6)))) for end in stretch)
        return first, last - first


def extent_of(frames: Frames) -> Extent:
    """Of a stream, which is read to its end."""
    count, last = 0, Fraction(0)
    for _, last in frames:  # noqa: B007 - the last one's is wanted
        count += 1
    return Extent(count, last / (count - 1) if count > 1 and last else Fraction(1, 25))


@dataclass(frozen=True)
class Outline:
    """What is known of a copy without making it; all in seconds of the copy."""

    seconds: float
    distorted: Span
    still: tuple[Span, ...]
    """Where the picture stands still: stutter and rebuffering."""


def outline(
    extent: Extent,
    parts: tuple[Part, ...],
    *,
    seed: int = 0,
    stretch: Span | None = None,
    kinds: Kinds = KINDS,
) -> Outline:
    """Of the copy that `distorted` makes of a video of that extent, with the same arguments."""
    still: list[Span] = []
    for part, random in _draws(parts, seed, kinds):
        first, count = extent.frames_in(stretch)
        if part.kind == "rebuffering":
            waits = stalls(first, count, number_of(part, kinds), extent.fps, random)
            still += stall_spans(waits, extent.fps)
            extent, stretch = _longer(extent, stretch, waits)
        elif part.kind == "stutter":
            shown = HOLDS["stutter"](count, number_of(part, kinds), extent.fps, random)
            still += still_spans(shown, extent.fps, first / extent.fps)
    return Outline(extent.seconds, stretch or (0.0, extent.seconds), tuple(still))


def distorted(
    frames: Frames,
    extent: Extent,
    parts: tuple[Part, ...],
    *,
    seed: int = 0,
    stretch: Span | None = None,
    kinds: Kinds = KINDS,
) -> Frames:
    """The frames with all parts, in the order in which they happen (camera, player, encoder).

    stretch: the seconds of the video that are distorted; all where not given. extent: of the frames. The
    same arguments give the same frames. Compression is encoded and decoded. Raises UnknownDistortion.
    """
    for part, random in _draws(parts, seed, kinds):
        number = number_of(part, kinds)
        first, count = extent.frames_in(stretch)
        if part.kind == "rebuffering":
            waits = stalls(first, count, number, extent.fps, random)
            frames = stalled(frames, waits, extent.interval)
            extent, stretch = _longer(extent, stretch, waits)
        else:
            change = partial(
                _changed, kind=part.kind, number=number, extent=extent, count=count, random=random
            )
            frames = _within(frames, range(first, first + count), change)
    return frames


def write_copy(
    video: Path,
    target: Path,
    parts: tuple[Part, ...],
    *,
    extent: Extent | None = None,
    seed: int = 0,
    stretch: Span | None = None,
    seconds: float = float("inf"),
    max_lines: int = MAX_LINES,
    kinds: Kinds = KINDS,
    threads: int = 0,
) -> None:
    """Write a copy of a video's first `seconds` with these parts, none for a pristine one, as .mp4.

    Compression of the whole is the file's own encoding; all else is encoded with x264 at a near-transparent
    CRF. `extent`: of those seconds, if it is known. Raises UnreadableVideo, UnknownDistortion.
    """
    parts = in_order(parts, kinds)
    extent = extent or extent_of(read_frames(video, seconds, max_lines, threads))
    coding = TRANSPARENT
    if parts and stretch is None and kind_of(parts[-1].kind, kinds).stage == "coding":
        coding = Coding(parts[-1].kind, number_of(parts[-1], kinds))
        parts = parts[:-1]
    frames = read_frames(video, seconds, max_lines, threads)
    frames = distorted(frames, extent, parts, seed=seed, stretch=stretch, kinds=kinds)
    write_frames(target, frames, extent.interval, coding)


def distorted_footage(
    footage: Footage, kind: str, strength: int, *, seed: int = 0, stretch: Span | None = None
) -> Footage:
    """A copy of footage that is at hand, of one kind and strength."""
    extent = extent_of(iter(zip(footage.frames, footage.times, strict=True)))
    frames = iter(zip(footage.frames, footage.times, strict=True))
    made = list(distorted(frames, extent, (Part(kind, strength),), seed=seed, stretch=stretch))
    return Footage([frame for frame, _ in made], [time for _, time in made])


def _draws(parts: tuple[Part, ...], seed: int, kinds: Kinds) -> Iterator[tuple[Part, np.random.Generator]]:
    """The parts in order, each with random draws of its own."""
    for number, part in enumerate(in_order(parts, kinds)):
        yield part, np.random.default_rng([seed, number])


def _within(frames: Frames, stretch: range, change: Callable[[Frames], Frames]) -> Frames:
    """The frames of those numbers changed, the others as they are."""
    for inside, group in groupby(enumerate(frames), lambda sample: sample[0] in stretch):
        run = (sample for _, sample in group)
        yield from change(run) if inside else run


def _changed(
    frames: Frames, kind: str, number: float, extent: Extent, count: int, random: np.random.Generator
) -> Frames:
    """By a kind that leaves the times as they are; `count`: of these frames."""
    if kind in PICTURES:
        return _pictures(frames, kind, number, random)
    if kind in HOLDS:
        return held(frames, HOLDS[kind](count, number, extent.fps, random))
    return recoded(frames, extent.interval, Coding(kind, number))


def _pictures(frames: Frames, kind: str, number: float, random: np.random.Generator) -> Frames:
    picture = None
    for frame, time in frames:
        picture = picture or PICTURES[kind](frame, number, random)
        yield picture(frame, float(time)), time


def _longer(extent: Extent, stretch: Span | None, waits: Sequence[Stall]) -> tuple[Extent, Span | None]:
    """Extent and stretch with these waits, which are in the stretch."""
    longer = extent.longer_by(waits)
    return longer, stretch and (stretch[0], stretch[1] + longer.seconds - extent.seconds)
