"""Scores of videos by trained runs, and how good such scores are."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluate.predicting.scorer import Scorer

__all__ = ["Scorer"]


def __getattr__(name: str) -> Any:
    """`Scorer`, imported when it is asked for: the commands must start fast."""
    if name != "Scorer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from evaluate.predicting.scorer import Scorer

    return Scorer
