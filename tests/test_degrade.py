"""Degraded copies: real files, worse with each step, the same every time."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.labelling import clip_ssim, luma
from evaluate.degrade import KINDS, STEPS, UnknownDegradation, degrade, frozen_indices
from evaluate.footage import read_footage, write_footage
from extract.errors import NotAVideo

FRAMES = 24


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A textured surface that slides by, 128x96, 24 frames in 2 seconds."""
    random = np.random.default_rng(2)
    surface = np.kron(random.integers(30, 220, (60, 80)), np.ones((4, 4))) + random.normal(0, 6, (240, 320))
    frames = []
    for number in range(FRAMES):
        planes = np.full((144, 128), 128, np.uint8)
        planes[:96] = surface[number : number + 96, 3 * number : 3 * number + 128].clip(16, 235)
        frames.append(VideoFrame.from_ndarray(planes, format="yuv420p"))
    file = tmp_path_factory.mktemp("footage") / "sliding.mp4"
    return write_footage(file, frames, [Fraction(n, 12) for n in range(FRAMES)], crf=5)


@pytest.fixture(scope="module")
def copy(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], list[VideoFrame]]:
    folder = tmp_path_factory.mktemp("ladder")

    def frames(kind: str, step: int) -> list[VideoFrame]:
        file = degrade(video, folder / f"{kind}-{step}.mp4", kind, step)
        return read_footage(file, seconds=9, max_lines=999).frames

    return frames


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_is_less_like_the_original(
    kind: str, video: Path, copy: Callable[[str, int], list[VideoFrame]]
) -> None:
    original = read_footage(video, seconds=9, max_lines=999).frames
    likeness = [clip_ssim(original, copy(kind, step), samples=FRAMES) for step in range(STEPS + 1)]
    assert likeness[0] > 0.97
    assert likeness == sorted(likeness, reverse=True)


def test_copy_keeps_times_and_length(video: Path, tmp_path: Path) -> None:
    footage = read_footage(degrade(video, tmp_path / "copy.mp4", "noise", 2), seconds=9, max_lines=999)
    assert footage.times == [Fraction(n, 12) for n in range(FRAMES)]
    assert footage.fps == pytest.approx(12)


def test_copy_is_cut_and_scaled_to_the_limits(video: Path, tmp_path: Path) -> None:
    file = degrade(video, tmp_path / "copy.mp4", "blur", 1, seconds=0.5, max_lines=48)
    frames = read_footage(file, seconds=9, max_lines=999).frames
    assert [(frame.width, frame.height) for frame in frames] == [(64, 48)] * 6


def test_same_arguments_give_the_same_file(video: Path, tmp_path: Path) -> None:
    files = [degrade(video, tmp_path / f"{n}.mp4", "noise", 3, seconds=1) for n in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()
    other = degrade(video, tmp_path / "other.mp4", "noise", 3, seconds=1, seed=1)
    assert other.read_bytes() != files[0].read_bytes()


def test_frozen_frames_stay_repeated_after_encoding(copy: Callable[[str, int], list[VideoFrame]]) -> None:
    frames = copy("freeze", STEPS)
    changes = [
        np.abs(luma(a).astype(int) - luma(b).astype(int)).mean()
        for a, b in pairwise(frames)
    ]
    assert np.mean(np.array(changes) < 1) == pytest.approx(0.75, abs=0.15)


@given(
    count=st.integers(1, 400), share=st.floats(0, 1), fps=st.floats(1, 120), seed=st.integers(0, 2**32 - 1)
)
@settings(max_examples=50, deadline=None)
def test_freezes_show_earlier_frames_for_no_more_than_their_share(
    count: int, share: float, fps: float, seed: int
) -> None:
    shown = frozen_indices(count, share, fps, seed)
    assert len(shown) == count
    assert (shown <= np.arange(count)).all() and (np.diff(shown) >= 0).all()
    stretches = count / max(2, 0.7 * fps) + 1
    assert (np.diff(shown) == 0).sum() <= share * count + stretches


@pytest.mark.parametrize(("kind", "step"), [("sepia", 1), ("blur", STEPS + 1), ("blur", -1)])
def test_unknown_degradation_is_refused_with_what_there_is(
    kind: str, step: int, video: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnknownDegradation, match="crf, blur, noise, freeze"):
        degrade(video, tmp_path / "copy.mp4", kind, step)


def test_unreadable_video_leaves_no_copy(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    with pytest.raises(NotAVideo):
        degrade(text, tmp_path / "copy.mp4", "blur", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]
