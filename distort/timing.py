"""What spoils the motion: which frame is shown when. Frames are repeated for others, or the video waits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from distort.footage import Frames

Shown = NDArray[np.int64]
"""Which frame is seen at the time of each, [frames]: itself or an earlier one."""
Hold = Callable[[int, float, float, np.random.Generator], Shown]
"""Of so many frames, by the number of the strength, frames in a second and random draws."""

_USUAL_FPS = 30
_SECONDS_FOR_A_STALL = 4.0


def frozen_indices(count: int, share: float, fps: float, seed: int) -> Shown:
    """Which frame is shown at each of `count` times, [count]: one freeze in every second or so.

    Stretches of 0.7 to 1.6 s hold one freeze each, at a random place, over the given share of them.
    """
    return stutter(count, share, fps, np.random.default_rng(seed))


def stutter(count: int, share: float, fps: float, random: np.random.Generator) -> Shown:
    """The picture stands still, then goes on where it would have been: see `frozen_indices`."""
    shown = np.arange(count)
    start = 0
    while start < count:
        length = min(max(2, round(random.uniform(0.7, 1.6) * fps)), count - start)
        repeats = min(round(share * length), length - 1)
        held = start + int(random.integers(0, length - repeats))
        shown[held : held + repeats + 1] = held
        start += length
    return shown


def drop(count: int, share: float, _fps: float, random: np.random.Generator) -> Shown:
    """Single frames are lost; the first is there."""
    lost = random.random(count) < share
    lost[:1] = False
    return np.maximum.accumulate(np.where(lost, 0, np.arange(count)))


def judder(count: int, long: float, fps: float, _random: np.random.Generator) -> Shown:
    """An uneven cadence, as of films on screens of another rate: long, short, long, short …"""
    short = _usual_frames(1, fps)
    cycle = _usual_frames(long, fps) + short
    place = np.arange(count)
    return place - np.where(place % cycle < short, place % cycle, place % cycle - short)


def frame_rate(count: int, divisor: float, fps: float, _random: np.random.Generator) -> Shown:
    """Every so many frames one, shown until the next."""
    place = np.arange(count)
    return place - place % _usual_frames(divisor, fps)


def _usual_frames(number: float, fps: float) -> int:
    """Frames at 30 a second or less, as frames of a video that may have more."""
    return max(1, round(number * max(1.0, fps / _USUAL_FPS)))


HOLDS: dict[str, Hold] = {"stutter": stutter, "drop": drop, "judder": judder, "frame-rate": frame_rate}


def held(frames: Frames, shown: Shown) -> Frames:
    """The frames that are shown, at the times of all. What comes after `shown` ends stays."""
    current = None
    for number, (frame, time) in enumerate(frames):
        if current is None or number >= len(shown) or shown[number] == number:
            current = frame
        yield current, time


def still_spans(shown: Shown, fps: float, start: float) -> list[tuple[float, float]]:
    """Seconds, from and to, in which a repeated frame is shown; `start`: the first frame's."""
    repeated = np.concatenate([[False], shown < np.arange(len(shown)), [False]])
    edges = np.flatnonzero(np.diff(repeated.astype(np.int8)))
    return [(start + first / fps, start + last / fps) for first, last in edges.reshape(-1, 2)]


@dataclass(frozen=True)
class Stall:
    """A wait: before frame number `before` is shown, the one before it is repeated `frames` times."""

    before: int
    frames: int


def stalls(first: int, count: int, share: float, fps: float, random: np.random.Generator) -> list[Stall]:
    """About one wait in 4 s of so many frames from `first` on, together `share` of their time."""
    number = max(1, round(count / fps / _SECONDS_FOR_A_STALL))
    total = max(number, round(share * count))
    lengths = 1 + random.multinomial(total - number, random.dirichlet(np.full(number, 4.0)))
    edges = np.linspace(first, first + count, number + 1)
    places = edges[:-1] + random.uniform(0.2, 0.8, number) * np.diff(edges)
    return [Stall(max(1, int(place)), int(length)) for place, length in zip(places, lengths, strict=True)]


def stalled(frames: Frames, waits: Sequence[Stall], interval: Fraction) -> Frames:
    """The frames with waits; all that follows comes later. `interval`: seconds from frame to frame."""
    delay = Fraction(0)
    lengths = {wait.before: wait.frames for wait in waits}
    current = None
    for number, (frame, time) in enumerate(frames):
        if current is not None:
            for _ in range(lengths.get(number, 0)):
                yield current, time + delay
                delay += interval
        current = frame
        yield frame, time + delay


def stall_spans(waits: Sequence[Stall], fps: float) -> list[tuple[float, float]]:
    """Seconds of the finished video, from and to, in which it waits."""
    spans, delay = [], 0
    for wait in waits:
        begin = wait.before + delay
        delay += wait.frames
        spans.append((begin / fps, (begin + wait.frames) / fps))
    return spans
