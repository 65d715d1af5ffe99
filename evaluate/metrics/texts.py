"""Written answers beside the true ones of conversations: alike, and how far their numbers are off."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

_NUMBER = re.compile(r"(?:(?<![\w.])-)?\d+(?:\.\d+)?")
"""A hyphen between two numbers is no sign."""


@dataclass(frozen=True)
class TextFigures:
    """Of the answers to one kind of question."""

    n: int
    right: float | None
    """Share that says the same, whatever the case, spaces and full stop; None of no answer."""
    numbers_off: float | None = None
    """Median over the answers of the greatest difference between a number and the true one in its place; of
    questions whose true answers all have numbers, and of the answers with as many."""
    without_numbers: int = 0
    """Answers that have not as many numbers as the true one, where all of those have some."""


def text_figures(true: Sequence[str], written: Sequence[str]) -> TextFigures:
    """Figures of written answers beside the true ones. Raises ValueError where they are not as many."""
    pairs = list(zip(true, written, strict=True))
    if not pairs:
        return TextFigures(0, None)
    right = fmean(bare(said) == bare(found) for said, found in pairs)
    numbers = [(_numbers(said), _numbers(found)) for said, found in pairs]
    if not all(said for said, _ in numbers):
        return TextFigures(len(pairs), right)
    off = [
        max(abs(one - other) for one, other in zip(said, found, strict=True))
        for said, found in numbers
        if len(said) == len(found)
    ]
    return TextFigures(len(pairs), right, median(off) if off else None, len(pairs) - len(off))


def bare(text: str) -> str:
    """Without the spaces that a word-level tokenizer puts where there were none."""
    return re.sub(r"\s", "", text).rstrip(".").casefold()


def _numbers(text: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(re.sub(r"\s", "", text))]
