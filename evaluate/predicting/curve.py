"""A video's score over time, from the features of one decoding."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from evaluate.errors import StretchError
from evaluate.predicting.scores import Moment, moment
from evaluate.watching.stretch import Stretch
from evaluate.watching.watcher import Watched, Watcher
from train.answers.forms import scored
from train.inference.predict import expected_scores
from train.pretrained import TrainedModel

_EARLY = 0.05
"""Seconds by which a video may end before a window does: frame rates are rounded."""


@dataclass(frozen=True)
class Windows:
    """Stretches of so many seconds, one beginning `every` so many seconds."""

    seconds: float = 1.0
    every: float = 1.0

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.every > 0):
            raise ValueError(f"windows last and follow each other after more than 0 seconds: {self}")

    def within(self, begin: float, end: float) -> Iterator[tuple[float, float]]:
        """All that fit between two times; where not even one does, all of what there is."""
        number, start = 0, begin
        while start + self.seconds <= end + _EARLY:
            yield start, min(start + self.seconds, end)
            number += 1
            start = begin + number * self.every
        if not number:
            yield begin, end


@torch.inference_mode()
def curve_of(
    trained: TrainedModel, watcher: Watcher, watched: Watched, windows: Windows, begin: float, end: float
) -> tuple[Moment, ...]:
    """The expected score of each window.

    Raises StretchError where an encoder sees a video as a whole only, or the run gives no scores.
    """
    if scored(trained.settings.tasks) is None:
        raise StretchError(f"{trained.folder} was not asked for opinion scores: it has no curve")
    found = []
    for start, stop in windows.within(begin, end):
        medium = watcher.medium(watched, Stretch(start, stop))
        on_device = {name: block.to(trained.device) for name, block in medium.items()}
        (score,) = expected_scores(trained.model, trained.model.visual_tokens([on_device]))
        found.append(moment(start, stop, score))
    return tuple(found)
