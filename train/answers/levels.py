"""Quality levels: opinion scores cut into three equal parts (section III-B of LMM-VQA)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.answers.space import LEVELS


@dataclass(frozen=True)
class LevelCuts:
    """Scores below `low` are poor, from `high` on good, between them fair; all on the scale 0–100."""

    low: float
    high: float

    @classmethod
    def fit(cls, scores: Sequence[float]) -> "LevelCuts":
        """Cuts that divide the training scores into three parts of equal count."""
        low, high = np.quantile(np.asarray(scores, dtype=np.float64), [1 / 3, 2 / 3])
        return cls(float(low), float(high))

    def level(self, score: float) -> str:
        """The level of a score."""
        return LEVELS[int(score >= self.low) + int(score >= self.high)]
