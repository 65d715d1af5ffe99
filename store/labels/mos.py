"""The linear map between a dataset's own opinion scale and 0–100, where 100 is always best."""

import math
from dataclasses import dataclass

from store.labels.errors import MosRangeError


@dataclass(frozen=True)
class MosScale:
    """A dataset's opinion scale, from its worst to its best score; the best may be the lower one (DMOS)."""

    worst: float
    best: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.worst) and math.isfinite(self.best) and self.worst != self.best):
            raise MosRangeError(
                "mos_range must be (worst, best), two different finite numbers, not"
                f" ({self.worst:g}, {self.best:g})"
            )

    @property
    def low(self) -> float:
        """The lower end, whichever it means."""
        return min(self.worst, self.best)

    @property
    def high(self) -> float:
        """The upper end, whichever it means."""
        return max(self.worst, self.best)

    def __contains__(self, mos: float) -> bool:
        return self.low <= mos <= self.high

    def to_100(self, mos: float) -> float:
        """A score of the dataset's scale as points of 0–100. Raises MosRangeError outside the scale."""
        if mos not in self:
            raise MosRangeError(
                f"MOS {mos:g} lies outside the declared range {self.low:g}–{self.high:g}:"
                " correct the dataset's mos_range or the label"
            )
        return abs(mos - self.worst) / (self.high - self.low) * 100

    def from_100(self, score: float) -> float:
        """Points of 0–100 as a score of the dataset's scale; predictions are not bounded."""
        return self.worst + score / 100 * (self.best - self.worst)
