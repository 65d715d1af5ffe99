"""Which frames of a video make a chunk: pure arithmetic on times and indices."""

from fractions import Fraction
from typing import Literal

Rule = Literal["first", "middle", "uniform", "all"]
Tail = Literal["drop", "keep"]

_ONE_SECOND = Fraction(1)


def chunk_of(seconds: Fraction, chunk_seconds: Fraction = _ONE_SECOND) -> int:
    """The chunk of a frame: chunk i covers [i, i + 1) · chunk_seconds from the first frame."""
    return int(seconds // chunk_seconds)


def chunk_count(
    duration_seconds: Fraction,
    frame_seconds: Fraction,
    chunk_seconds: Fraction = _ONE_SECOND,
    tail: Tail = "drop",
) -> int:
    """How many chunks a video has, at least one.

    `drop`: K = floor(duration) whole ones (LMM-VQA, section III), with half a frame of tolerance (never
    more than half a chunk), so that a last one that rounding in the container made slightly short counts
    as whole. `keep`: one more for frames that are left (VQA²). `duration_seconds` is to the end of the
    last frame.
    """
    tolerance = min(frame_seconds, chunk_seconds) / 2
    whole = max(1, int((duration_seconds + tolerance) // chunk_seconds))
    if tail == "drop":
        return whole
    last = max(duration_seconds - frame_seconds, Fraction(0))
    return max(whole, chunk_of(last, chunk_seconds) + 1)


def frame_indices(available: int, count: int, rule: Rule) -> list[int]:
    """Indices of `count` of a chunk's `available` frames, in order.

    `first` takes the first ones, `middle` the centre ones, `uniform`
    floor(linspace(0, available - 1, count)), `all` every one, whatever `count` is.
    Where there are fewer than `count`, each rule takes all and repeats the last one.
    """
    if rule == "all":
        count = available
    if available < 1 or count < 1:
        raise ValueError(f"a chunk of {available} frames cannot give {count}: both must be positive")
    if available <= count:
        return [min(index, available - 1) for index in range(count)]
    if rule == "uniform":
        return [index * (available - 1) // max(count - 1, 1) for index in range(count)]
    start = (available - count) // 2 if rule == "middle" else 0
    return list(range(start, start + count))


def slow_indices(fast_frames: int, alpha: int = 4) -> list[int]:
    """Frames of the fast pathway that the slow pathway sees: floor(linspace(0, n - 1, n // alpha)).

    For 32 frames the 8 indices 0, 4, 8, 13, 17, 22, 26, 31, as SlowFast's own sampling gives.
    """
    return frame_indices(fast_frames, max(fast_frames // alpha, 1), "uniform")
