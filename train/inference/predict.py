"""Predictions from features: the expected score, the written answer, and the level."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from config.schema import Task
from train.answers.levels import LevelCuts
from train.answers.space import LEVELS, parse_level, parse_score
from train.data.reader import Features
from train.inference.reading import Reading, answer
from train.model.quality import QualityModel
from train.model.regression import RegressionModel, VideoModel


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
    """Predictions, video by video: a video's numbers do not depend on the others by a single bit."""
    device = next(model.projectors.parameters()).device
    placed = ({name: block.to(device) for name, block in video.items()} for video in videos)
    if isinstance(model, RegressionModel):
        return [_regressed(model, video, cuts, tasks) for video in placed]
    return [_predict_one(model, video, cuts, tasks) for video in placed]


def _predict_one(model: QualityModel, video: Features, cuts: LevelCuts, tasks: Sequence[Task]) -> Prediction:
    (visual,) = model.visual_tokens([video])
    asked: list[Task] = ["score", "level"] if "level" in tasks else ["score"]
    answers = answer(model, visual, asked)
    mean, std = _moments(answers["score"].probabilities, model.prompts.score_values)
    text = answers["score"].text
    stated = parse_score(text)
    if "level" in tasks:
        level = LEVELS[int(answers["level"].probabilities.argmax())]
        written = parse_level(answers["level"].text)
    else:
        level = cuts.level(mean)
        written = None if stated is None else cuts.level(stated)
    return Prediction(mean, std, level, stated, written, text)


@torch.inference_mode()
def expected_scores(model: VideoModel, visual: Sequence[torch.Tensor]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each video's distribution over the scores 0–100.

    The regression baseline has a score, bounded to the scale, without a deviation: NaN.
    """
    if isinstance(model, RegressionModel):
        scores = model.outputs(visual)[0].clamp(0, 100).tolist()
        return scores, [math.nan] * len(scores)
    values = model.prompts.score_values
    moments = [
        _moments(Reading(model, tokens, ["score"]).probabilities("score"), values) for tokens in visual
    ]
    return [mean for mean, _ in moments], [std for _, std in moments]


def _moments(probabilities: torch.Tensor, values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of a distribution [101] over the scores' values."""
    p = probabilities.double()
    scores = torch.tensor(values, dtype=torch.float64, device=p.device)
    mean = (p * scores).sum()
    return float(mean), float((p * (scores - mean) ** 2).sum().sqrt())


def _regressed(model: RegressionModel, video: Features, cuts: LevelCuts, tasks: Sequence[Task]) -> Prediction:
    """Without a language model there is no written answer."""
    visual = model.visual_tokens([video])
    (mean,), _ = expected_scores(model, visual)
    likeliest = LEVELS[int(model.outputs(visual)[1].argmax())]
    return Prediction(mean, None, likeliest if "level" in tasks else cuts.level(mean), None, None, "")


def batched(items: Iterable[Features], size: int) -> Iterator[list[Features]]:
    """Lists of up to `size` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
