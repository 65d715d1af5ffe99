"""Distorted copies of real videos: each kind does what it says, more at every strength."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from distort.chain import distorted, distorted_footage, extent_of, outline, write_copy
from distort.footage import Footage, Frames, read_footage
from distort.kinds import KINDS, STRENGTHS, Part, UnknownDistortion, UnsuitableMixture

SPATIAL = [kind.key for kind in KINDS.values() if kind.sort == "spatial"]
HELD = ["stutter", "drop", "judder", "frame-rate"]
LINES = 96


@pytest.fixture(scope="module")
def video(shared_data: Path) -> Path:
    return shared_data / "videos" / "carphone_pristine.mp4"


@pytest.fixture(scope="module")
def short(video: Path) -> Footage:
    return read_footage(video, 0.3, LINES)


@pytest.fixture(scope="module")
def footage(video: Path) -> Footage:
    return read_footage(video, 3.0, LINES)


def frames_of(footage: Footage) -> Frames:
    return iter(zip(footage.frames, footage.times, strict=True))


def planes(footage: Footage) -> NDArray[np.float64]:
    """[T, H * 3 / 2, W]"""
    return np.stack([frame.to_ndarray(format="yuv420p") for frame in footage.frames]).astype(np.float64)


def psnr(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    error = ((one - other) ** 2).mean()
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def still(footage: Footage) -> NDArray[np.bool_]:
    """Which frames are the one before them, [T]."""
    return np.concatenate([[False], (np.diff(planes(footage), axis=0) == 0).all(axis=(1, 2))])


@pytest.mark.slow
@pytest.mark.parametrize("kind", SPATIAL)
def test_every_strength_is_farther_from_the_pristine_frames(kind: str, short: Footage) -> None:
    copies = [planes(distorted_footage(short, kind, strength, seed=5)) for strength in STRENGTHS]
    distances = [psnr(planes(short), copy) for copy in copies]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > distances[-1] + 5
    assert {copy.shape for copy in copies} == {planes(short).shape}


@pytest.mark.parametrize("kind", HELD)
def test_more_frames_are_repeated_at_every_strength(kind: str, footage: Footage) -> None:
    copies = [distorted_footage(footage, kind, strength, seed=5) for strength in STRENGTHS]
    shares = [still(copy).mean() for copy in copies]
    assert shares == sorted(shares)
    assert shares[-1] > 0.6 and all(copy.times == footage.times for copy in copies)
    # The picture that follows a repeated one is where it would have been.
    moving = ~still(copies[0])
    assert (planes(copies[0])[moving] == planes(footage)[moving]).all()


def test_a_cadence_is_even_where_the_rate_is_low_and_uneven_in_judder(footage: Footage) -> None:
    for kind, held in (("frame-rate", {5}), ("judder", {5, 1})):
        shown = np.flatnonzero(~still(distorted_footage(footage, kind, 3)))
        assert set(np.diff(shown).tolist()) == held


def test_flicker_swings_the_brightness(footage: Footage) -> None:
    before = planes(footage)[:, :LINES].mean(axis=(1, 2))
    swings = [
        float(np.std(planes(distorted_footage(footage, "flicker", s))[:, :LINES].mean(axis=(1, 2)) / before))
        for s in STRENGTHS
    ]
    assert swings == sorted(swings)
    assert swings[0] > 0.01 and swings[-1] > 0.15


def test_shaking_moves_the_picture_and_leaves_it_sharp(short: Footage) -> None:
    moved = [planes(distorted_footage(short, "shake", s, seed=1)) for s in STRENGTHS]
    distances = [psnr(planes(short), copy) for copy in moved]
    assert distances == sorted(distances, reverse=True) and distances[-1] < 25
    sharpness = [
        float(np.abs(np.diff(copy[:, :LINES], axis=2)).mean()) for copy in (planes(short), moved[-1])
    ]
    assert sharpness[1] == pytest.approx(sharpness[0], rel=0.1)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_stalls_last_as_long_as_they_say(strength: int, footage: Footage) -> None:
    parts = (Part("rebuffering", strength),)
    told = outline(extent_of(frames_of(footage)), parts, seed=2)
    copy = distorted_footage(footage, "rebuffering", strength, seed=2)
    times = np.array([float(time) for time in copy.times])
    waits = sum(end - start for start, end in told.still)
    assert waits == pytest.approx(KINDS["rebuffering"].strengths[strength - 1] * 3.0, abs=0.04)
    assert told.seconds == pytest.approx(3.0 + waits, abs=0.05)
    assert times[-1] == pytest.approx(told.seconds, abs=0.05) and (np.diff(times) > 0).all()
    inside = np.any([(times > start - 0.01) & (times < end - 0.01) for start, end in told.still], axis=0)
    assert (still(copy) == inside).all()
    assert (planes(copy)[~inside] == planes(footage)).all()  # nothing is left out


def test_freezes_of_a_stutter_are_where_they_are_said_to_be(footage: Footage) -> None:
    told = outline(extent_of(frames_of(footage)), (Part("stutter", 3),), seed=4)
    copy = distorted_footage(footage, "stutter", 3, seed=4)
    times = np.array([float(time) for time in copy.times])
    inside = np.any([(times > start - 0.01) & (times < end - 0.01) for start, end in told.still], axis=0)
    assert (still(copy) == inside).all() and inside.any()


@pytest.mark.parametrize("kind", ["noise", "h264", "av1", "drop", "flicker"])
def test_a_stretch_alone_is_distorted(kind: str, footage: Footage) -> None:
    copy = distorted_footage(footage, kind, 5, seed=1, stretch=(1.0, 2.0))
    times = np.array([float(time) for time in footage.times])
    changed = (planes(copy) != planes(footage)).any(axis=(1, 2))
    assert not changed[(times < 1.0) | (times >= 2.0)].any()
    assert changed[(times >= 1.0) & (times < 2.0)].mean() > 0.6


def test_a_stall_in_a_stretch_makes_it_longer(footage: Footage) -> None:
    extent = extent_of(frames_of(footage))
    told = outline(extent, (Part("rebuffering", 5),), seed=1, stretch=(1.0, 2.0))
    copy = distorted_footage(footage, "rebuffering", 5, seed=1, stretch=(1.0, 2.0))
    longer = len(copy.frames) - len(footage.frames)
    assert longer == 21
    assert told.distorted == (1.0, pytest.approx(2.0 + longer / extent.fps))
    assert all(1.0 < start < end < told.distorted[1] for start, end in told.still)


def test_a_mixture_has_all_its_parts_in_whatever_order_they_are_named(footage: Footage) -> None:
    parts = (Part("h264", 4), Part("rebuffering", 3), Part("noise", 2))
    extent = extent_of(frames_of(footage))
    one, other = (list(distorted(frames_of(footage), extent, each, seed=9)) for each in (parts, parts[::-1]))
    told = outline(extent, parts, seed=9)
    assert len(one) == round(told.seconds * extent.fps) > len(footage.frames)
    for (frame, time), (another, at) in zip(one, other, strict=True):
        assert time == at and (frame.to_ndarray() == another.to_ndarray()).all()


@pytest.mark.parametrize(
    ("parts", "codec"),
    [((), "h264"), ((Part("h265", 2),), "hevc"), ((Part("dark", 2), Part("av1", 1)), "av1")],
)
def test_compression_is_the_encoding_of_the_file(
    parts: tuple[Part, ...], codec: str, video: Path, tmp_path: Path
) -> None:
    for name in ("one", "other"):
        write_copy(video, tmp_path / name, parts, seconds=0.5, max_lines=LINES, seed=3)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    with av.open(str(tmp_path / "one")) as container:
        assert container.streams.video[0].codec_context.name.removeprefix("lib") in (codec, "dav1d")
    assert len(read_footage(tmp_path / "one", 9.0, LINES).frames) == 15


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_frames(kind: str, short: Footage) -> None:
    one, again = (planes(distorted_footage(short, kind, 4, seed=7)) for _ in range(2))
    assert (one == again).all()
    if kind in ("noise", "motion-blur", "colour-cast", "shake", "flicker", "drop"):
        assert (one != planes(distorted_footage(short, kind, 4, seed=8))).any()


@pytest.mark.parametrize("kind", KINDS)
def test_few_frames_are_held_at_a_time(kind: str, footage: Footage) -> None:
    taken = 0

    def counted() -> Frames:
        nonlocal taken
        for sample in frames_of(footage):
            taken += 1
            yield sample

    frames = distorted(counted(), extent_of(frames_of(footage)), (Part(kind, 5),))
    held = [taken - given for given, _ in enumerate(frames, start=1)]
    assert max(held) <= (48 if KINDS[kind].stage == "coding" else 0)


def test_what_there_is_not_is_named(short: Footage) -> None:
    with pytest.raises(UnknownDistortion, match="did you mean 'noise'"):
        distorted_footage(short, "nois", 1)
    with pytest.raises(UnknownDistortion, match="noise, strength 6: expected 1 to 5"):
        distorted_footage(short, "noise", 6)
    with pytest.raises(UnsuitableMixture, match="stutter and drop"):
        outline(extent_of(frames_of(short)), (Part("stutter", 1), Part("drop", 1)))
