import json
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from extract.video.sampling import chunk_count, chunk_of, frame_indices, slow_indices

counts = st.integers(1, 400)
rules = st.sampled_from(["first", "middle", "uniform"])
seconds = st.fractions(0, 10_000, max_denominator=90_000)


@settings(max_examples=50, deadline=None)
@given(counts, counts, rules)
def test_indices_are_ordered_inside_the_chunk_and_as_many_as_asked_for(available, count, rule):
    indices = frame_indices(available, count, rule)
    assert len(indices) == count
    assert indices == sorted(indices)
    assert indices[0] >= 0 and indices[-1] < available


@settings(max_examples=50, deadline=None)
@given(counts, counts, rules)
def test_a_short_chunk_gives_all_its_frames_and_repeats_the_last(available, count, rule):
    indices = frame_indices(available, available + count, rule)
    assert indices == [*range(available), *[available - 1] * count]


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 400), st.integers(1, 399), rules)
def test_no_frame_is_taken_twice_where_there_are_enough(available, count, rule):
    indices = frame_indices(available, min(count, available), rule)
    assert len(set(indices)) == len(indices)


@settings(max_examples=50, deadline=None)
@given(counts, counts)
def test_middle_leaves_as_many_frames_before_as_after(available, count):
    indices = frame_indices(available + count, count, "middle")
    assert indices == list(range(indices[0], indices[0] + count))
    assert abs(indices[0] - (available + count - 1 - indices[-1])) <= 1


def test_uniform_reaches_from_the_first_frame_to_the_last():
    assert frame_indices(60, 32, "uniform")[::31] == [0, 59]
    assert frame_indices(60, 3, "uniform") == [0, 29, 59]


def test_slow_pathway_takes_the_frames_that_slowfast_takes():
    assert slow_indices(32) == torch.linspace(0, 31, 8).long().tolist() == [0, 4, 8, 13, 17, 22, 26, 31]


@pytest.mark.parametrize(("available", "count"), [(0, 1), (1, 0)])
def test_nothing_to_take_is_refused(available, count):
    with pytest.raises(ValueError, match="must be positive"):
        frame_indices(available, count, "first")


@settings(max_examples=50, deadline=None)
@given(seconds)
def test_a_chunk_covers_its_own_second(time):
    assert chunk_of(time) <= time < chunk_of(time) + 1


@settings(max_examples=50, deadline=None)
@given(seconds, st.fractions(Fraction(1, 240), Fraction(1, 10)))
def test_chunks_are_whole_seconds_give_or_take_half_a_frame(duration, frame_seconds):
    count = chunk_count(duration, frame_seconds)
    assert count >= 1
    assert count == 1 or count <= duration + frame_seconds / 2
    assert duration < count + 1


@pytest.mark.parametrize(
    ("duration", "chunks"),
    [
        (Fraction(8), 8),
        (Fraction(8008, 1000), 8),
        (Fraction(7808, 1000), 7),
        (Fraction(799, 100), 8),
        (Fraction(1, 25), 1),
    ],
)
def test_chunk_counts_of_usual_durations(duration, chunks):
    assert chunk_count(duration, Fraction(1, 30)) == chunks


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.fractions(1, 20, max_denominator=100), st.sampled_from(["drop", "keep"]))
def test_frames_that_last_for_seconds_give_a_chunk_for_each_whole_second(frames, frame_seconds, tail):
    count = chunk_count(frames * frame_seconds, frame_seconds, tail=tail)
    assert 0 <= frames * frame_seconds - count + (Fraction(1, 2) if tail == "drop" else 1) < 2


def test_key_frames_and_motion_are_those_of_vqa2s_trainer(shared_data):
    """They count key frames; ours are by time, which differs where the rate is far from whole."""
    file = shared_data / "reference" / "vqa2" / "B4_frames.json"
    if not file.is_file():
        pytest.skip("the authors' numbers (../shared/data/reference/vqa2) are not on this machine")
    for case in json.loads(file.read_text())["cases"]:
        count, fps, theirs = case["n_frames"], case["fps"], case["trainer"]
        seen = count - count % 4 if count >= 4 else count  # as `frames_multiple` has it
        assert seen == case["motion_frames"]
        if isinstance(theirs, str):  # below half a frame a second it divides by zero
            continue
        each = Fraction({29.97: "30000/1001", 23.976: "24000/1001"}.get(fps, str(fps)))
        first = {}
        for frame in range(count):
            first.setdefault(chunk_of(frame / each), frame)
        assert len(first) == len(theirs["frame_idx"]) == chunk_count(count / each, 1 / each, tail="keep")
        if fps not in (24.5, 25.5):
            assert list(first.values()) == theirs["frame_idx"]
