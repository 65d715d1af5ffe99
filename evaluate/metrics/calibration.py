"""Whether predicted standard deviations are honest: how often intervals around a score hold the true one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtri

SHARES: Final = (0.5, 0.8, 0.95)
"""Of the opinion scores, the shares that the intervals of the table should hold."""
_CURVE: Final = tuple(step / 20 for step in range(1, 20))


@dataclass(frozen=True)
class Calibration:
    """Shares of the opinion scores that normal intervals around the predicted scores hold."""

    videos: int
    """Those with a score and a standard deviation."""
    coverage: dict[str, float]
    """`50`, `80`, `95` % interval → share of the opinion scores within it."""
    curve: list[tuple[float, float]]
    """Reliability: share that an interval should hold → share that it does, at 0.05, 0.1 … 0.95."""
    error: float
    """Mean absolute difference of the two along the curve (Kuleshov et al., ICML 2018); 0 is right."""


def calibration_of(
    mos: Sequence[float | None], scores: Sequence[float | None], stds: Sequence[float | None]
) -> Calibration | None:
    """Judge standard deviations in units of the opinion scores; None where no video has one above 0.

    The interval that should hold a share p is score ± std · Φ⁻¹((1 + p) / 2). Raises ValueError for lengths
    that differ.
    """
    ratios = [
        abs(true - score) / std
        for true, score, std in zip(mos, scores, stds, strict=True)
        if true is not None and score is not None and std
    ]
    if not ratios:
        return None
    found = np.array(ratios)

    def held(share: float) -> float:
        return float(np.mean(found <= deviations(share)))

    curve = [(share, held(share)) for share in _CURVE]
    return Calibration(
        len(ratios),
        {f"{share * 100:.0f}": held(share) for share in SHARES},
        curve,
        float(np.mean([abs(should - does) for should, does in curve])),
    )


def deviations(share: float) -> float:
    """How many standard deviations on either side of its mean hold that share of a normal distribution."""
    return float(ndtri((1 + share) / 2))
