from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_videos import encode

from extract.video.cutting import WholeCutter, cutter
from extract.video.decode import decode
from extract.video.pictures import Form
from extract.video.sampling import chunk_count, chunk_of, frame_indices
from extract.video.view import FrameRequest, View

RULES = st.sampled_from(["first", "middle", "uniform"])
SIZE = (1, 1)


class NumberedSource:
    """A frame whose picture is its number; `write` counts how often it is scaled."""

    def __init__(self, number: int, megabytes: int = 100) -> None:
        self.number = number
        self.bytes = megabytes * 2**20
        self.scaled = 0

    def write(self, _form, out) -> None:
        self.scaled += 1
        out[:] = self.number

    def settle(self) -> None:
        pass


class NumberedMaker:
    def form(self, _request: FrameRequest) -> Form:
        return Form(*SIZE, "stretch", "bilinear", "luma")


def spoiled(_request: str, shape: tuple[int, ...]):
    return np.full(shape, 255, np.uint8)


def cut(view: View, times: list[Fraction], nominal: Fraction, end: Fraction):
    """(index, start, before, after, {request: frame numbers}) of each chunk."""
    cutting = cutter(view, NumberedMaker(), nominal, spoiled)
    chunks = []
    for number, seconds in enumerate(times):
        chunks += cutting.add(NumberedSource(number), seconds)
    chunks += cutting.finish(end, nominal)
    return [
        (c.index, c.start_seconds, c.before, c.after, {n: f.ravel().tolist() for n, f in c.frames.items()})
        for c in chunks
    ]


def plainly(view: View, times: list[Fraction], nominal: Fraction, end: Fraction):
    """The same by the definition: all frames of a chunk, then the rule."""
    chunks = []
    for index in range(chunk_count(end, nominal, view.chunk_seconds, view.tail)):
        own = [n for n, seconds in enumerate(times) if chunk_of(seconds, view.chunk_seconds) == index]
        earlier = [n for n, seconds in enumerate(times) if chunk_of(seconds, view.chunk_seconds) < index]
        shown = own or earlier[-1:]
        frames = {
            name: [shown[i] for i in frame_indices(len(shown), request.count, request.rule)]
            for name, request in view.requests.items()
        }
        chunks.append((index, float(index * view.chunk_seconds), 0, 0, frames))
    return chunks


frame_times = st.lists(st.integers(0, 9), min_size=0, max_size=120).map(
    lambda gaps: [Fraction(sum(gaps[:n]), 40) for n in range(len(gaps) + 1)]
)


@settings(max_examples=150, deadline=None)
@given(
    frame_times,
    st.lists(st.tuples(st.integers(1, 40), RULES), min_size=1, max_size=3),
    st.sampled_from([Fraction(1, 240), Fraction(1, 60), Fraction(1, 30), Fraction(1, 25), Fraction(2)]),
    st.sampled_from([Fraction(1), Fraction(1, 5), Fraction(1, 30), Fraction(4)]),
    st.sampled_from(["drop", "keep"]),
)
def test_scaling_ahead_gives_the_frames_of_the_definition(times, requests, nominal, chunk_seconds, tail):
    view = View(
        {f"r{n}": FrameRequest(count, rule, SIZE) for n, (count, rule) in enumerate(requests)},
        chunk_seconds,
        tail,
    )
    end = times[-1] + nominal
    assert cut(view, times, nominal, end) == plainly(view, times, nominal, end)


@settings(max_examples=100, deadline=None)
@given(
    frame_times,
    st.sampled_from([Fraction(1), Fraction(1, 5), Fraction(4)]),
    st.sampled_from(["drop", "keep"]),
    st.integers(0, 20),
)
def test_whole_chunks_hold_every_frame_once_and_their_neighbours(times, chunk_seconds, tail, margin):
    nominal = Fraction(1, 40)
    view = View({"all": FrameRequest(0, "all", SIZE)}, chunk_seconds, tail, margin)
    end = times[-1] + nominal
    chunks = cut(view, times, nominal, end)
    own = []
    for index, _, before, after, frames in chunks:
        numbers = frames["all"]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert before == min(margin, numbers[0] + before)
        assert after == min(margin, len(times) - 1 - (numbers[-1] - after))
        mine = numbers[before : len(numbers) - after]
        assert {chunk_of(times[n], chunk_seconds) for n in mine} == {index}
        own += mine
    kept = chunk_count(end, nominal, chunk_seconds, tail)
    assert own == [n for n, seconds in enumerate(times) if chunk_of(seconds, chunk_seconds) < kept]


def test_frames_at_the_expected_rate_are_scaled_once_and_no_others():
    view = View({"key": FrameRequest(1, "first", SIZE), "clip": FrameRequest(32, "uniform", SIZE)})
    cutting = cutter(view, NumberedMaker(), Fraction(1, 64), spoiled)
    sources = [NumberedSource(n, megabytes=1) for n in range(64)]
    for number, source in enumerate(sources):
        assert not list(cutting.add(source, Fraction(number, 64)))
    list(cutting.finish(Fraction(1), Fraction(1, 64)))
    wanted = frame_indices(64, 32, "uniform")
    assert [source.scaled for source in sources] == [(n in wanted) + (n == 0) for n in range(64)]


def test_a_chunk_of_huge_frames_does_not_hold_them():
    view = View({"clip": FrameRequest(4, "middle", SIZE)})
    times = [Fraction(n, 40) for n in range(80)]
    # The nominal rate is wrong: nearly all frames would be held, at 100 MB each.
    assert cut(view, times, Fraction(1), Fraction(2)) == plainly(view, times, Fraction(1, 40), Fraction(2))


def test_views_are_cut_side_by_side_from_one_pass(tmp_path):
    path = encode(tmp_path / "v.mp4", frames=50, rate=20)
    views = {
        "keys": View({"key": FrameRequest(1, "first", (32, 32))}, Fraction(1, 5), tail="keep"),
        "seconds": View({"clip": FrameRequest(8, "uniform", (32, 32))}),
        "motion": View({"all": FrameRequest(0, "all", (16, 16))}, Fraction(2), "keep", margin=3),
    }
    alone = {name: [chunk for _, chunk in decode(path, {name: view})] for name, view in views.items()}
    together = {name: [] for name in views}
    for name, chunk in decode(path, views):
        together[name].append(chunk)
    assert {name: len(chunks) for name, chunks in together.items()} == {"keys": 13, "seconds": 2, "motion": 2}
    assert [chunk.frames["all"].shape[0] for chunk in together["motion"]] == [43, 13]
    for name, chunks in alone.items():
        for one, other in zip(chunks, together[name], strict=True):
            assert (one.index, one.start_seconds, one.before) == (
                other.index,
                other.start_seconds,
                other.before,
            )
            for request in one.frames:
                np.testing.assert_array_equal(one.frames[request], other.frames[request])


def test_a_chunk_s_arrays_may_come_again_and_again(tmp_path):
    path = encode(
        tmp_path / "v.mkv", frames=4, times=[Fraction(0), Fraction(1, 2), Fraction(3), Fraction(7, 2)]
    )
    view = View({"key": FrameRequest(2, "uniform", (32, 32)), "same": FrameRequest(1, "first", (32, 32))})
    arrays: dict[str, np.ndarray] = {}

    def reused(_view: str, request: str, shape: tuple[int, ...]):
        return arrays.setdefault(request, np.empty(shape, np.uint8))

    fresh = [chunk for _, chunk in decode(path, {"v": view})]
    again = [
        {name: frames.copy() for name, frames in chunk.frames.items()}
        for _, chunk in decode(path, {"v": view}, allocate=reused)
    ]
    for one, other in zip(fresh, again, strict=True):
        for name in view.requests:
            np.testing.assert_array_equal(one.frames[name], other[name])


def test_a_view_of_all_frames_asks_for_nothing_else():
    with pytest.raises(ValueError, match="neither"):
        View({"all": FrameRequest(0, "all"), "key": FrameRequest(1, "first")})
    with pytest.raises(ValueError, match="margin"):
        View({"key": FrameRequest(1, "first")}, margin=2)
    with pytest.raises(ValueError, match="count is 3"):
        FrameRequest(3, "all")
    assert isinstance(
        cutter(View({"all": FrameRequest(0, "all", SIZE)}), NumberedMaker(), Fraction(1, 25), spoiled),
        WholeCutter,
    )
