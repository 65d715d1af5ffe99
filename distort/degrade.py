"""Copies of a real video that get worse in graded steps: compressed, blurred, noisy or freezing."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from config.errors import Problem
from distort.coding import TRANSPARENT_CRF, write_footage
from distort.footage import Footage, read_footage
from distort.pictures import gaussian_blur, noise
from distort.timing import frozen_indices

KINDS = ("crf", "blur", "noise", "freeze")
STEPS = 4

CRF = (26, 32, 38, 44)
"""x264's constant rate factor."""
BLUR_SIGMA = (1.0, 1.8, 3.0, 5.0)
"""Of the Gaussian, in pixels."""
NOISE_SIGMA = (4.0, 8.0, 14.0, 24.0)
"""Of the luma noise, in grey levels."""
FREEZE_SHARE = (0.15, 0.3, 0.5, 0.75)
"""Share of the time in which the picture stands still."""


class UnknownDegradation(Problem):
    """A kind or a step that is not on the ladder."""


def degrade(
    video: Path,
    target: Path,
    kind: str,
    step: int,
    *,
    seconds: float = 5.0,
    max_lines: int = 540,
    seed: int = 0,
) -> Path:
    """Write a degraded copy of the video's first `seconds` as an x264 .mp4 file, and give its path.

    kind: one of KINDS. step: 0 (only scaled to `max_lines` and encoded again at a near-transparent CRF)
    to STEPS (worst). All but `crf` are encoded at that near-transparent CRF too. The same arguments give
    the same file. Raises UnknownDegradation and UnreadableVideo.
    """
    if kind not in KINDS or not 0 <= step <= STEPS:
        raise UnknownDegradation(
            f"degradation {kind!r}, step {step}: expected one of {', '.join(KINDS)}; a step from 0 to {STEPS}"
        )
    return write_degraded(read_footage(video, seconds, max_lines), target, kind, step, seed)


def write_degraded(footage: Footage, target: Path, kind: str, step: int, seed: int = 0) -> Path:
    """`degrade` for footage that is at hand: a ladder decodes its video once."""
    frames: Sequence[VideoFrame] | Iterator[VideoFrame] = footage.frames
    if step and kind != "crf":
        frames = _DEGRADATIONS[kind](footage, step - 1, seed)
    crf = CRF[step - 1] if step and kind == "crf" else TRANSPARENT_CRF
    return write_footage(target, frames, footage.times, crf)


def blurred(frames: Sequence[VideoFrame], sigma: float) -> Iterator[VideoFrame]:
    """Gaussian blur of all planes; `sigma` in luma pixels."""
    picture = gaussian_blur(frames[0], sigma, np.random.default_rng(0))
    return (picture(frame, 0.0) for frame in frames)


def noisy(frames: Sequence[VideoFrame], sigma: float, seed: int) -> Iterator[VideoFrame]:
    """Gaussian noise in every pixel; `sigma` in grey levels of luma, half of it in chroma."""
    picture = noise(frames[0], sigma, np.random.default_rng(seed))
    return (picture(frame, 0.0) for frame in frames)


def frozen(frames: Sequence[VideoFrame], share: float, fps: float, seed: int) -> list[VideoFrame]:
    """The frames with freezes: the picture stands still, then goes on where it would have been."""
    return [frames[index] for index in frozen_indices(len(frames), share, fps, seed)]


def _blur(footage: Footage, step: int, _seed: int) -> Iterator[VideoFrame]:
    return blurred(footage.frames, BLUR_SIGMA[step])


def _noise(footage: Footage, step: int, seed: int) -> Iterator[VideoFrame]:
    return noisy(footage.frames, NOISE_SIGMA[step], seed)


def _freeze(footage: Footage, step: int, seed: int) -> list[VideoFrame]:
    return frozen(footage.frames, FREEZE_SHARE[step], footage.fps, seed)


_DEGRADATIONS: dict[str, Callable[[Footage, int, int], Sequence[VideoFrame] | Iterator[VideoFrame]]] = {
    "blur": _blur,
    "noise": _noise,
    "freeze": _freeze,
}
