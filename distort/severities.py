"""What is done to a pristine clip, and how hard: continuous severities of every kind and of mixtures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame

from distort.coding import TRANSPARENT_CRF
from distort.degrade import blurred, noisy
from distort.timing import frozen_indices

KINDS = ("pristine", "crf", "blur", "noise", "freeze", "blur+crf", "noise+crf", "freeze+crf")
_EVERY_CLIP = ("pristine", "crf", "crf", "blur", "noise", "freeze")
_MIXTURES = ("blur+crf", "noise+crf", "freeze+crf")


@dataclass(frozen=True)
class Distortion:
    """One version of a clip. `severity` 0 is none, 1 the worst; of mixtures, that of the first part."""

    kind: str
    severity: float
    blur_sigma: float = 0.0
    """In pixels."""
    noise_sigma: float = 0.0
    """In grey levels."""
    frozen_share: float = 0.0
    crf: int = TRANSPARENT_CRF


def versions(random: np.random.Generator, lines: int) -> Iterator[Distortion]:
    """The versions of one clip of so many `lines`: the pristine one, one or two of each kind, a mixture."""
    mild, hard = random.uniform(0.05, 0.5), random.uniform(0.5, 1.0)
    severities = iter((0.0, mild, hard, *random.uniform(0.05, 1.0, 3)))
    for kind in _EVERY_CLIP:
        yield _distortion(kind, float(next(severities)), 0.0, lines)
    mixed, coding = random.uniform(0.05, 0.8), random.uniform(0.2, 0.8)
    yield _distortion(str(random.choice(_MIXTURES)), float(mixed), float(coding), lines)


def _distortion(kind: str, severity: float, coding: float, lines: int) -> Distortion:
    strength = severity if kind == "crf" else coding
    return Distortion(
        kind,
        severity,
        # The picture is seen at one size, so that more lines need a wider blur to look as bad.
        blur_sigma=_between(0.5, 5.0, severity) * (lines / 360) ** 0.25 if "blur" in kind else 0.0,
        noise_sigma=_between(2.0, 30.0, severity) if "noise" in kind else 0.0,
        frozen_share=0.05 + 0.75 * severity if "freeze" in kind else 0.0,
        crf=round(22 + 26 * strength) if "crf" in kind else TRANSPARENT_CRF,
    )


def _between(low: float, high: float, share: float) -> float:
    """Geometric: equal steps look equal."""
    return float(low * (high / low) ** share)


def distorted(
    frames: Sequence[VideoFrame], distortion: Distortion, fps: float, seed: int
) -> tuple[Iterator[VideoFrame], list[int]]:
    """The frames to encode, and which pristine frame each one shows."""
    shown = [int(i) for i in frozen_indices(len(frames), distortion.frozen_share, fps, seed)]
    seen = [frames[index] for index in shown]
    if distortion.blur_sigma:
        return blurred(seen, distortion.blur_sigma), shown
    if distortion.noise_sigma:
        return noisy(seen, distortion.noise_sigma, seed), shown
    return iter(seen), shown
