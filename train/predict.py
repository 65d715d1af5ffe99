"""Predictions from features: the expected score, the written answer, and the level."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from config.schema import Task
from train.answers import LEVELS, SCORES, parse_level, parse_score
from train.levels import LevelCuts
from train.model import Features
from train.regression import RegressionModel, VideoModel


@dataclass(frozen=True)
class Prediction:
    """What the model says of one video; scores on the scale 0–100."""

    score: float
    """`expected`: the probability-weighted score."""
    std: float | None
    """Standard deviation of the score's distribution; None of the regression baseline, which has none."""
    level: str
    """The likeliest level where the model was trained to give levels, else the expected score's level."""
    score_generate: float | None
    """`generate`: the score stated by the written answer; None is a parse failure."""
    level_generate: str | None
    text: str
    """The written answer to the score question."""


@torch.inference_mode()
def predict(
    model: VideoModel, videos: Sequence[Features], cuts: LevelCuts, tasks: Sequence[Task]
) -> list[Prediction]:
    """Predictions for a batch of videos; a video's numbers do not depend on the others."""
    device = next(model.projectors.parameters()).device
    visual = model.visual_tokens([{name: t.to(device) for name, t in video.items()} for video in videos])
    if isinstance(model, RegressionModel):
        return _regressed(model, visual, cuts, tasks)
    means, stds = expected_scores(model, visual)
    texts = model.generate(visual, "score")
    if "level" in tasks:
        likeliest = model.answer_probabilities(visual, "level").argmax(dim=1).tolist()
        levels = [LEVELS[index] for index in likeliest]
        written = [parse_level(text) for text in model.generate(visual, "level")]
    else:
        levels = [cuts.level(mean) for mean in means]
        stated = [parse_score(text) for text in texts]
        written = [None if score is None else cuts.level(score) for score in stated]
    return [
        Prediction(mean, std, level, parse_score(text), level_written, text)
        for mean, std, level, level_written, text in zip(means, stds, levels, written, texts, strict=True)
    ]


def expected_scores(model: VideoModel, visual: Sequence[torch.Tensor]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each video's distribution over the scores 0–100.

    The regression baseline has a score, bounded to the scale, without a deviation: NaN.
    """
    if isinstance(model, RegressionModel):
        scores = model.outputs(visual)[0].clamp(0, 100).tolist()
        return scores, [math.nan] * len(scores)
    probabilities = model.answer_probabilities(visual, "score").double()  # [B, 101]
    values = torch.tensor(SCORES, dtype=torch.float64, device=probabilities.device)
    mean = probabilities @ values
    variance = (probabilities * (values - mean[:, None]) ** 2).sum(dim=1)
    return mean.tolist(), variance.sqrt().tolist()


def _regressed(
    model: RegressionModel, visual: Sequence[torch.Tensor], cuts: LevelCuts, tasks: Sequence[Task]
) -> list[Prediction]:
    """Without a language model there is no written answer."""
    means, _ = expected_scores(model, visual)
    likeliest = model.outputs(visual)[1].argmax(dim=1).tolist()
    levels = [LEVELS[i] for i in likeliest] if "level" in tasks else [cuts.level(mean) for mean in means]
    return [Prediction(mean, None, level, None, None, "") for mean, level in zip(means, levels, strict=True)]


def batched(items: Iterable[Features], size: int) -> Iterator[list[Features]]:
    """Lists of up to `size` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
