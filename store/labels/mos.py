"""The linear map between a dataset's own opinion scale and 0–100."""

from dataclasses import dataclass

from store.labels.errors import MosRangeError


@dataclass(frozen=True)
class MosScale:
    """A dataset's opinion scale, from its worst to its best score."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise MosRangeError(
                f"mos_range must be (worst, best) with worst < best, not {self.low, self.high}"
            )

    def __contains__(self, mos: float) -> bool:
        return self.low <= mos <= self.high

    def to_100(self, mos: float) -> float:
        """A score of the dataset's scale as points of 0–100. Raises MosRangeError outside the scale."""
        if mos not in self:
            raise MosRangeError(
                f"MOS {mos:g} lies outside the declared range {self.low:g}–{self.high:g}:"
                " correct the dataset's mos_range or the label"
            )
        return (mos - self.low) / (self.high - self.low) * 100

    def from_100(self, score: float) -> float:
        """Points of 0–100 as a score of the dataset's scale; predictions are not bounded."""
        return self.low + score / 100 * (self.high - self.low)
