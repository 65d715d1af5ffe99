"""Chunks of frames that are chosen by their numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numbered_frames import numbered_chunks, numbers
from small_videos import encode

from extract.video.counted import CountedView, Group
from extract.video.decode import decode
from extract.video.view import FrameRequest, View

REQUEST = FrameRequest(0, "all", colour="luma")


@dataclass(frozen=True)
class Pairs:
    """`pairs`: `count` pairs a chunk, each with `spare` frames after it; `single`: the frame in its middle.

    The first pair of a chunk has the last frame of the chunk before along with it.
    """

    count: int
    step: int
    spare: int

    def chunk(self, rate: int, index: int) -> Mapping[str, Sequence[Group]]:
        first = index * self.count * self.step
        starts = range(first, first + self.count * self.step, self.step)
        pairs = [Group((n, n + 1), n + 2 + self.spare) for n in starts]
        pairs[0] = Group((max(first - self.step + 1, 0), *pairs[0].frames), pairs[0].needs)
        return {
            "pairs": pairs,
            "single": [Group((first + rate,), first + rate + 1)] if index % 2 == 0 else [],
        }


def cut(numbering, frames: int, fps: Fraction, after_frame=None):
    """(index, start, {request: frame numbers}) of each chunk."""
    view = CountedView({"pairs": REQUEST, "single": REQUEST}, numbering)
    return [
        (c.index, c.start_seconds, {n: numbers(f) for n, f in c.frames.items()})
        for c in numbered_chunks(view, frames, fps, after_frame)
    ]


def plainly(numbering, frames: int, fps: int):
    """The same by the definition, the video's length being known."""
    chunks = []
    for index in range(frames + 1):
        groups = numbering.chunk(fps, index)
        counting = {name: [g for g in some if g.needs <= frames] for name, some in groups.items()}
        if index == 0:
            counting = {name: some or groups[name][:1] for name, some in counting.items()}
        if any(counting.values()):
            shown = {
                name: [min(n, frames - 1) for group in some for n in group.frames]
                for name, some in counting.items()
            }
            chunks.append((index, shown))
    return chunks


@settings(max_examples=200, deadline=None)
@given(
    st.builds(Pairs, st.integers(1, 4), st.integers(1, 5), st.integers(0, 4)),
    st.integers(1, 60),
    st.integers(1, 12),
)
def test_chunks_are_those_of_the_definition(numbering, frames, fps):
    cut_ones = cut(numbering, frames, Fraction(fps))
    assert [(index, shown) for index, _, shown in cut_ones] == plainly(numbering, frames, fps)
    for index, start, _ in cut_ones:
        assert start == min(numbering.chunk(fps, index)["pairs"][0].frames) / fps


@pytest.mark.parametrize(
    ("rate", "whole"),
    [(Fraction(30000, 1001), 30), (Fraction(25, 2), 13), (Fraction(1, 4), 1), (Fraction(24000, 1001), 24)],
)
def test_the_rate_counts_as_a_whole_number(rate, whole):
    ((_, _, shown), *_) = cut(Pairs(3, 10, 0), 100, rate)
    assert shown["single"] == [whole]


def test_no_more_than_two_chunks_are_held():
    held: list[int] = []
    cut(Pairs(3, 10, 2), 1000, Fraction(4), lambda arrays, chunks: held.append(arrays // 2 - len(chunks)))
    assert max(held) == 2


def test_frames_of_a_file_reach_the_view_beside_another(tmp_path):
    path = encode(tmp_path / "v.mp4", frames=48, rate=24)
    counted = CountedView({"pairs": REQUEST, "single": REQUEST}, Pairs(3, 8, 2))
    plain = View({"every": REQUEST})
    given_chunks: dict[str, list] = {"counted": [], "plain": []}
    for name, chunk in decode(path, {"counted": counted, "plain": plain}):
        given_chunks[name].append({request: frames.copy() for request, frames in chunk.frames.items()})
    every = np.concatenate([frames["every"] for frames in given_chunks["plain"]])
    for frames, (_, wanted) in zip(given_chunks["counted"], plainly(Pairs(3, 8, 2), 48, 24), strict=True):
        for request, shown in wanted.items():
            np.testing.assert_array_equal(frames[request], every[shown])


def test_a_rule_beside_the_numbering_is_refused():
    with pytest.raises(ValueError, match="the numbering alone"):
        CountedView({"pairs": FrameRequest(3)}, Pairs(1, 1, 0))
