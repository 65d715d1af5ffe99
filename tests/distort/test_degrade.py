"""Degraded copies of real encoded videos: every step is worse than the one before."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from distort.degrade import KINDS, STEPS, UnknownDegradation, degrade
from distort.footage import read_footage
from distort.timing import frozen_indices
from extract.errors import UnreadableVideo

SECONDS = 1.0


def lumas(video: Path) -> NDArray[np.float64]:
    """[T, H, W]"""
    frames = read_footage(video, 60.0, 2000).frames
    return np.stack([f.to_ndarray(format="yuv420p")[: f.height] for f in frames]).astype(np.float64)


def psnr(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(10 * np.log10(255**2 / ((one - other) ** 2).mean()))


@pytest.fixture(scope="module")
def video(shared_data: Path) -> Path:
    return shared_data / "videos" / "carphone_pristine.mp4"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["crf", "blur", "noise"])
def test_each_step_is_farther_from_the_undegraded_copy(kind: str, video: Path, tmp_path: Path) -> None:
    copies = [
        lumas(degrade(video, tmp_path / f"{step}.mp4", kind, step, seconds=SECONDS, max_lines=120))
        for step in range(STEPS + 1)
    ]
    distances = [psnr(copies[0], copy) for copy in copies[1:]]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > distances[-1] + 5


def test_step_zero_looks_like_the_original(video: Path, tmp_path: Path) -> None:
    copy = lumas(degrade(video, tmp_path / "copy.mp4", "crf", 0, seconds=SECONDS))
    original = lumas(video)[: len(copy)]
    assert copy.shape == original.shape
    assert psnr(copy, original) > 42


def test_freezes_take_a_growing_share_of_the_time(video: Path, tmp_path: Path) -> None:
    shares = []
    for step in range(STEPS + 1):
        copy = lumas(degrade(video, tmp_path / f"{step}.mp4", "freeze", step, seconds=2.0, max_lines=120))
        # A frame that is shown again is coded almost the same.
        shares.append(float((np.abs(np.diff(copy, axis=0)).mean(axis=(1, 2)) < 0.4).mean()))
    assert shares == sorted(shares)
    assert shares[-1] > shares[0] + 0.4


def test_freezes_end_where_the_video_would_have_been() -> None:
    shown = frozen_indices(100, 0.4, 25.0, seed=3)
    assert (np.diff(shown) >= 0).all() and (shown <= np.arange(100)).all()
    assert 0.3 < np.mean(shown < np.arange(100)) < 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arguments_give_the_same_file(kind: str, video: Path, tmp_path: Path) -> None:
    one, other = (
        degrade(video, tmp_path / f"{name}.mp4", kind, 2, seconds=0.5, max_lines=96) for name in ("a", "b")
    )
    assert one.read_bytes() == other.read_bytes()


def test_tall_videos_are_scaled_down_and_sides_are_even(video: Path, tmp_path: Path) -> None:
    frame = read_footage(
        degrade(video, tmp_path / "small.mp4", "blur", 1, seconds=0.2, max_lines=75), 1.0, 540
    ).frames[0]
    assert min(frame.height, frame.width) in (74, 76)
    assert frame.height % 2 == frame.width % 2 == 0


@pytest.mark.parametrize(("kind", "step"), [("fog", 1), ("blur", STEPS + 1), ("blur", -1)])
def test_unknown_degradations_are_refused(kind: str, step: int, video: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownDegradation, match="expected one of crf, blur, noise, freeze"):
        degrade(video, tmp_path / "never.mp4", kind, step)


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    with pytest.raises(UnreadableVideo, match=r"notes\.mp4"):
        degrade(tmp_path / "notes.mp4", tmp_path / "never.mp4", "blur", 1)
    assert not (tmp_path / "never.mp4").exists()
