"""Levels: words for opinion scores, cut where the training scores or the settings say."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from config.schema import WordsForm


@dataclass(frozen=True)
class Levels:
    """Words from the worst to the best, and between them cuts on the scale 0–100.

    A score on a cut has the word below it, as in LMM-VQA's released code.
    """

    words: tuple[str, ...]
    cuts: tuple[float, ...]

    @classmethod
    def fit(cls, form: WordsForm, scores: Sequence[float]) -> "Levels":
        """The settings' cuts, or those that divide the training scores evenly (LMM-VQA, section III-B)."""
        shares = form.cuts or [number / len(form.words) for number in range(1, len(form.words))]
        if form.cut_at == "quantiles":
            cuts = np.quantile(np.asarray(scores, dtype=np.float64), shares).tolist()
        elif form.cuts:
            cuts = list(form.cuts)
        else:
            low, high = _bounds(form, scores)
            cuts = [low + (high - low) * share for share in shares]
        return cls(tuple(form.words), tuple(cuts))

    def __str__(self) -> str:
        parts = [f"{word} up to {cut:.2f}" for word, cut in zip(self.words, self.cuts, strict=False)]
        return ", ".join([*parts, f"{self.words[-1]} above"])

    def level(self, score: float) -> str:
        """The word of a score."""
        return self.words[bisect_left(self.cuts, score)]


def _bounds(form: WordsForm, scores: Sequence[float]) -> tuple[float, float]:
    if form.between == "training":
        return min(scores), max(scores)
    return (0.0, 100.0) if form.between == "scale" else form.between
