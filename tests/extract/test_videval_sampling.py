"""Which frames VIDEVAL looks at, against the loops of the original program in words of their own."""

import pickle
from fractions import Fraction

import numpy as np
import pytest
from numbered_frames import numbered_chunks, numbers

from extract.encoders.videval.sampling import HIGH, ROWS, VARIANTS, Variant
from extract.video.counted import CountedView
from extract.video.view import FrameRequest

RATES = [
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(60),
    Fraction(5),
    Fraction(1),
]


def sampled(variant: Variant, rate: Fraction, frames: int):
    """[(prev, this, next)], [high], (rows, high) of each chunk, as they are cut from the video."""
    request = FrameRequest(0, "all", colour="yuv420")
    rows, high, sizes = [], [], []
    for chunk in numbered_chunks(CountedView({ROWS: request, HIGH: request}, variant), frames, rate):
        shown, chunk_high = numbers(chunk.frames[ROWS]), numbers(chunk.frames[HIGH])
        rows += [tuple(shown[i : i + 3]) for i in range(0, len(shown) - 1, 2)]
        high += chunk_high
        sizes.append((len(shown) // 2, len(chunk_high)))
    return rows, high, sizes


def looped(name: str, rate: Fraction, frames: int):
    """The same as the program loops: section 1 of the reference, with 0.2 for the frame before."""
    fps = int(rate + Fraction(1, 2))
    last = frames - 3
    rows = []
    if name == "full":
        for this in range(1, last + 1, 2):
            rows.append((this - 1, this, this + 1))
    else:
        step = max(fps // int(name[-4]), 1)
        previous_next = 0
        for this in range(1, last + 1, step):
            rows.append((previous_next, this, this + 1))
            previous_next = this + 1
    high = [n - 1 for n in range(fps // 2, last + 1, fps) if n >= 1]
    return rows, high


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{float(rate):g}")
def test_frames_are_those_of_the_loops(name, rate):
    fps = round(rate)
    for frames in {*range(4, 12), 3 * fps + 3, *range(3 * fps + 4, 4 * fps, 7), 250}:
        rows, high, sizes = sampled(VARIANTS[name], rate, frames)
        expected_rows, expected_high = looped(name, rate, frames)
        assert rows == expected_rows
        assert high == (expected_high or [min(max(fps // 2 - 1, 0), frames - 1)])
        assert all(count == VARIANTS[name].rows(fps) for count, _ in sizes[:-1])
        assert all(count <= VARIANTS[name].rows(fps) + 1 for _, count in sizes)


@pytest.mark.parametrize(
    ("frames", "row"), [(1, (0, 0, 0)), (2, (0, 1, 1)), (3, (0, 1, 2)), (4, (0, 1, 2)), (10, (0, 1, 2))]
)
def test_however_short_the_video_there_is_a_row_and_a_frame_of_high(frames, row):
    rows, high, _ = sampled(VARIANTS["light480-3fps"], Fraction(30), frames)
    assert (rows, high) == ([row], [frames - 1])


def test_the_reference_videos_have_as_many_frames_as_the_original_saw(shared_data):
    reference = np.load(shared_data / "reference" / "videval" / "videos_rows.npz")
    for video, rate, frames in (
        ("5115335471", Fraction(30000, 1001), 240),
        ("video-1621367634", Fraction(30), 380),
    ):
        rows, high, _ = sampled(VARIANTS["light480-3fps"], rate, frames)
        saw = f"{video}|light480_3fps"
        assert [this for _, this, _ in rows] == reference[f"{saw}|frame_index0"].tolist()
        assert high == reference[f"{saw}|hcf_frame_index0"].tolist()


def test_frames_are_scaled_down_to_the_lines_and_never_up():
    assert VARIANTS["light480-3fps"].ratio(1080, 1920) == 480 / 1080
    assert VARIANTS["light480-3fps"].ratio(1280, 720) == 480 / 720
    assert VARIANTS["light720-6fps"].ratio(540, 960) == 1
    assert VARIANTS["full"].ratio(2160, 3840) == 1


def test_a_variant_can_be_sent_to_a_process():
    assert pickle.loads(pickle.dumps(VARIANTS["full"])) == VARIANTS["full"]
