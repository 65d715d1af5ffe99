"""Whether predicted standard deviations are as large as the errors, and the scale that makes them so."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

import numpy as np

from evaluate.errors import EvaluationError
from train.pretrained import TrainedModel
from train.saving.checkpoint import CONFIG
from train.saving.run import RUN

SHARE = 0.8
"""Of the opinion scores, the share that an interval should hold."""
REACH = NormalDist().inv_cdf((1 + SHARE) / 2)
"""Half such an interval, in standard deviations: 1.28 where errors are normal."""


@dataclass(frozen=True)
class Spread:
    """How predicted standard deviations compare with errors."""

    videos: int
    coverage: float
    """Share of the opinion scores within 1.28 standard deviations of the predicted score; 0.8 is right."""
    std_scale: float
    """The pipeline's `std_scale` with which that share is 0.8 on these videos."""


class Scored(Protocol):
    """A prediction, or what is kept of one."""

    @property
    def score(self) -> float | None: ...
    @property
    def std(self) -> float | None: ...


def spread_of(mos: Sequence[float], predictions: Sequence[Scored], std_scale: float) -> Spread | None:
    """Judge the standard deviations by opinion scores on 0–100; None where no prediction has one.

    `std_scale` is the one that they were multiplied by.
    """
    ratios = [
        abs(score - found.score) / found.std
        for score, found in zip(mos, predictions, strict=True)
        if found.score is not None and found.std
    ]
    if not ratios:
        return None
    reach = float(np.quantile(ratios, SHARE))
    return Spread(len(ratios), float(np.mean(np.array(ratios) <= REACH)), std_scale * reach / REACH)


def pooled(spreads: Sequence[Spread]) -> Spread:
    """Means over several, by their numbers of videos."""
    counts = [each.videos for each in spreads]
    coverage, std_scale = (
        float(np.average([getattr(each, name) for each in spreads], weights=counts))
        for name in ("coverage", "std_scale")
    )
    return Spread(sum(counts), coverage, std_scale)


def spread_line(spread: Spread) -> str:
    """For a person."""
    return (
        f"{spread.coverage:.0%} of the scores lie within {REACH:.2f} standard deviations"
        f" ({SHARE:.0%} would be right: std_scale = {spread.std_scale:.3g})"
    )


def calibrate(trained: TrainedModel, spread: Spread | None) -> Spread:
    """Let the run's standard deviations, from now on, be as large as its errors on held-out videos were.

    Raises EvaluationError where its predictions have none, or no errors.
    """
    if spread is None:
        raise EvaluationError(f"{trained.folder}: its predictions have no standard deviations")
    if not spread.std_scale:
        raise EvaluationError(
            f"{trained.folder}: {SHARE:.0%} of its predictions have no error at all: expected videos that it"
            " has not learnt from"
        )
    pipeline = trained.settings.pipeline.model_copy(update={"std_scale": spread.std_scale})
    run = trained.run.model_copy(
        update={"settings": trained.settings.model_copy(update={"pipeline": pipeline})}
    )
    for file in (trained.checkpoint / CONFIG, trained.folder / RUN):
        if file.is_file():
            run.write(file)
    return spread
