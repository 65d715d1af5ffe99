"""Whatever a container claims, what is shown of it decides: the right chunks, or a reason."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest
from damaged_containers import (
    Shown,
    count_finer,
    cut,
    declare_length,
    hide,
    numbered,
    record,
    seen_numbers,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from extract.errors import (
    ImplausibleTiming,
    UnreadableVideo,
)
from extract.video.decode import decode
from extract.video.view import FrameRequest, View

COUNT = 3
VIEWS = {"seconds": View({"luma": FrameRequest(COUNT, "uniform", colour="luma")})}
RATES = [Fraction(rate) for rate in ("1/5", "1/2", "1", "5", "10", "25", "30", "50")]
TIMED = ["mp4", "mov", "mkv", "nut"]
"""Containers that keep any time of a frame, and how long it lasts."""


@dataclass(frozen=True)
class Case:
    """A file, what is shown of it, and what a warning or an error has to say."""

    make: Callable[[Path], Path]
    shown: Shown
    warning: str | None = None
    error: type[UnreadableVideo] | None = None
    largest_gap_seconds: float = 600.0


def seen(path: Path, largest_gap_seconds: float = 600.0):
    decoding = decode(path, VIEWS, largest_gap_seconds=largest_gap_seconds)
    return [seen_numbers(chunk.frames["luma"]) for _, chunk in decoding], decoding.info


@st.composite
def videos(draw, rates=RATES, least=2, gaps=True):
    rate = draw(st.sampled_from(rates))
    count = draw(st.integers(least, 40 if rate >= 1 else max(least, 6)))
    pauses = draw(st.dictionaries(st.integers(1, count - 1), st.integers(1, 80), max_size=2)) if gaps else {}
    times, time = [], Fraction(0)
    for number in range(count):
        time += Fraction(pauses.get(number, 0), 2) + (1 / rate if number else 0)
        times.append(time)
    return numbered(times, 1 / rate)


@st.composite
def offsets(draw):
    suffix, shown = draw(st.sampled_from(TIMED)), draw(videos())
    offset = Fraction(draw(st.integers(0, 10**7)), 1000)
    return Case(lambda folder: record(folder / f"v.{suffix}", shown, offset), shown)


@st.composite
def regular(draw):
    """Containers that know frames by the rate alone, or not how long the last one lasts."""
    suffix = draw(st.sampled_from(["avi", "y4m", "flv", "ts"]))
    shown = draw(videos(rates=[Fraction(rate) for rate in (5, 10, 25, 30, 50)], gaps=False, least=5))
    return Case(lambda folder: record(folder / f"v.{suffix}", shown), shown)


@st.composite
def long_last_frames(draw):
    suffix, shown = draw(st.sampled_from(["mp4", "mov", "mkv"])), draw(videos())
    claimed = Fraction(draw(st.integers(61, 10_000)))
    mean = shown.times[-1] / (len(shown.times) - 1)
    return Case(
        lambda folder: record(folder / f"v.{suffix}", shown, claimed_last=claimed),
        replace(shown, last_seconds=mean),
        f"the last frame is declared to last {float(claimed):.2f} s",
    )


@st.composite
def hidden_frames(draw):
    shown = draw(videos(least=4, gaps=False))
    count = len(shown.times)
    before = draw(st.integers(0, count - 2))
    after = draw(st.integers(0, count - before - 2))
    return Case(
        lambda folder: hide(record(folder / "v.mp4", shown), shown, before, after),
        shown.part(before, count - after),
    )


@st.composite
def wrong_lengths(draw):
    shown, factor = draw(videos()), draw(st.integers(2, 10**6))
    return Case(lambda folder: declare_length(record(folder / "v.mp4", shown), factor), shown)


@st.composite
def broken_timescales(draw):
    shown, factor = draw(videos(gaps=False)), draw(st.integers(2, 5000))
    seconds = (shown.times[-1] + shown.last_seconds) / factor
    shrunk = Shown(shown.numbers, tuple(time / factor for time in shown.times), shown.last_seconds / factor)
    refused = len(shown.times) > 1000 * seconds
    return Case(
        lambda folder: count_finer(record(folder / "v.mp4", shown), factor),
        shrunk,
        error=ImplausibleTiming if refused else None,
    )


@st.composite
def joined_recordings(draw):
    """Two MPEG streams, one after the other: the time goes back, or far ahead."""
    rates = [draw(st.sampled_from([Fraction(10), Fraction(25), Fraction(50)]))]
    one, other = (draw(videos(rates=rates, gaps=False, least=5)) for _ in range(2))
    one = numbered([n / rates[0] for n in range(len(one.times) + 60)], 1 / rates[0])
    offset = Fraction(draw(st.sampled_from([0, 5000])))

    def make(folder: Path) -> Path:
        files = record(folder / "a.ts", one), record(folder / "b.ts", other, offset)
        (folder / "v.ts").write_bytes(b"".join(file.read_bytes() for file in files))
        return folder / "v.ts"

    return Case(make, one.followed_by(other, 1 / rates[0]), "the time starts over 1 times")


@st.composite
def long_gaps(draw):
    suffix, shown = draw(st.sampled_from(TIMED)), draw(videos())
    limit = draw(st.sampled_from([1.0, 3.0, 10.0]))
    steps = [after - before for before, after in zip(shown.times, shown.times[1:], strict=False)]
    return Case(
        lambda folder: record(folder / f"v.{suffix}", shown),
        shown,
        error=ImplausibleTiming if max(steps) > limit + Fraction(1, 100) else None,
        largest_gap_seconds=limit + 0.005,  # Matroska rounds to milliseconds
    )


CASES = st.one_of(
    offsets(),
    regular(),
    long_last_frames(),
    hidden_frames(),
    wrong_lengths(),
    broken_timescales(),
    joined_recordings(),
    long_gaps(),
)


def check(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = case.make(Path(folder))
        if case.error is not None:
            with pytest.raises(case.error):
                seen(path, case.largest_gap_seconds)
            return
        chunks, info = seen(path, case.largest_gap_seconds)
    assert chunks == case.shown.chunks(COUNT)
    assert info.frames == len(case.shown.times)
    assert (case.warning is None) == (not info.warnings), info.warnings
    assert case.warning is None or any(text.startswith(case.warning) for text in info.warnings)


def check_cut(suffix: str, shown: Shown, share: float) -> None:
    """What is accepted of a file that was cut off are its first frames; where it could tell, most of it."""
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    options = {"mp4": {"movflags": "+faststart"}, "live.mkv": {"live": "1"}, "parts.mp4": fragments}
    with tempfile.TemporaryDirectory() as folder:
        path = cut(record(Path(folder) / f"v.{suffix}", shown, options=options.get(suffix)), share)
        if suffix == "y4m" and path.stat().st_size > 100:
            path.write_bytes(path.read_bytes().rstrip(b"\x80"))  # nothing tells a cut between two frames
        try:
            chunks, info = seen(path)
        except UnreadableVideo as error:
            assert str(path) in str(error)
            return
    assert chunks[:-1] == shown.part(0, info.frames).chunks(COUNT)[: len(chunks) - 1]
    assert share > 0.8 or suffix in ("ts", "live.mkv", "parts.mp4")
    assert suffix not in ("live.mkv", "parts.mp4") or info.warnings


CUTS = (
    st.sampled_from(["mp4", "mov", "mkv", "avi", "flv", "wmv", "y4m", "ts", "live.mkv", "parts.mp4"]),
    videos(rates=[Fraction(rate) for rate in (5, 10, 25)], gaps=False, least=20),
    st.floats(0, 0.999),
)


@settings(max_examples=20, deadline=None)
@given(*CUTS)
def test_what_was_cut_off_is_never_taken_for_the_whole(suffix, shown, share):
    check_cut(suffix, shown, share)


@settings(max_examples=40, deadline=None)
@given(CASES)
def test_chunks_are_those_of_what_is_shown(case):
    check(case)


@pytest.mark.soak
@settings(max_examples=2_000, deadline=None)
@given(*CUTS)
def test_what_was_cut_off_is_never_taken_for_the_whole_at_length(suffix, shown, share):
    check_cut(suffix, shown, share)


@pytest.mark.soak
@settings(max_examples=3_000, deadline=None)
@given(CASES)
def test_chunks_are_those_of_what_is_shown_at_length(case):
    check(case)
