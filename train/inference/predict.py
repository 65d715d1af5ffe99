"""Predictions from features: the expected score, the level, and the answer to every task."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType

import torch

from config.schema import Form, NumberForm, TextForm
from train.answers.forms import Value, as_score, read, scored, values
from train.answers.levels import Levels
from train.data.reader import Features
from train.inference.reading import Reading, answer
from train.model.quality import QualityModel
from train.model.regression import RegressionModel, VideoModel


@dataclass(frozen=True)
class TaskAnswer:
    """What the model says to one task's question."""

    value: Value | None = None
    """The expected number, on the task's own range, or the likeliest word; what is stated, of tasks that are
    read from their text alone; None of free text."""
    score: float | None = None
    """The expected score on 0–100, where numbers are asked for, or words with scores."""
    std: float | None = None
    """Standard deviation of the score's distribution; None of the regression baseline's numbers."""
    probabilities: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """Of each word."""
    text: str | None = None
    """The written answer."""
    stated: Value | None = None
    """What the text states; None is a parse failure, or that nothing was written."""


@dataclass(frozen=True)
class Prediction:
    """What the model says of one video; scores on the scale 0–100."""

    score: float | None
    """`expected`: the probability-weighted score; None where no task asks for one."""
    std: float | None
    """Standard deviation of the score's distribution; None of the regression baseline, which has none."""
    level: str | None
    """The likeliest level where the model was trained to give levels, else the expected score's level."""
    score_generate: float | None
    """`generate`: the score stated by the written answer; None is a parse failure."""
    level_generate: str | None
    text: str | None
    """The written answer to the question of the score."""
    distance: float | None = None
    """How far the features lie from the training videos', 99 % of which are at most 1; None where the model
    did not learn it."""
    answers: Mapping[str, TaskAnswer] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """Of every task."""


@torch.inference_mode()
def predict(
    model: VideoModel, videos: Sequence[Features], levels: Levels | None = None, std_scale: float = 1.0
) -> list[Prediction]:
    """Predictions, video by video: a video's numbers do not depend on the others by a single bit.

    `levels` turn the expected score into a level where no task asks for words. Standard deviations are
    multiplied by `std_scale`.
    """
    device = next(model.projectors.parameters()).device
    predictions = []
    for video in videos:
        on_device = {name: block.to(device) for name, block in video.items()}
        visual = model.visual_tokens([on_device])
        answers = _regressed(model, visual) if isinstance(model, RegressionModel) else _read(model, visual[0])
        answers = {name: _rescaled(each, std_scale) for name, each in answers.items()}
        predictions.append(replace(_overall(model, answers, levels), distance=model.distance(on_device)))
    return predictions


def _rescaled(answer: TaskAnswer, std_scale: float) -> TaskAnswer:
    return answer if answer.std is None else replace(answer, std=answer.std * std_scale)


def _read(model: QualityModel, visual: torch.Tensor) -> dict[str, TaskAnswer]:
    found = answer(model, visual, list(model.prompts.tasks))
    return {
        name: _answer(model.prompts.tasks[name].form, each.probabilities, each.text)
        for name, each in found.items()
    }


def _answer(form: Form, probabilities: torch.Tensor | None, text: str | None) -> TaskAnswer:
    stated = None if text is None else read(form, text)
    if isinstance(form, TextForm):
        return TaskAnswer(text=text, stated=stated)
    if probabilities is None:
        return TaskAnswer(stated, _stated_score(form, stated), text=text, stated=stated)
    score = std = None
    counted = values(form)
    if counted is not None:
        mean, deviation = _moments(probabilities, counted)
        score, std = as_score(form, mean), as_score(form, mean + deviation) - as_score(form, mean)
    if isinstance(form, NumberForm):
        return TaskAnswer(mean, score, std, text=text, stated=stated)
    by_word = dict(zip(form.words, probabilities.tolist(), strict=True))
    return TaskAnswer(max(by_word, key=by_word.__getitem__), score, std, by_word, text, stated)


def _regressed(model: RegressionModel, visual: Sequence[torch.Tensor]) -> dict[str, TaskAnswer]:
    """Without a language model there is no written answer, and a number has no distribution."""
    found = {}
    for name, output in model.outputs(visual).items():
        form = model.prompts.tasks[name].form
        if isinstance(form, NumberForm):
            value = float(output[0].clamp(form.low, form.high))
            found[name] = TaskAnswer(value, as_score(form, value))
        else:
            found[name] = _answer(form, output[0].softmax(dim=0), None)
    return found


def _overall(model: VideoModel, answers: Mapping[str, TaskAnswer], levels: Levels | None) -> Prediction:
    tasks = model.prompts.tasks
    main = scored(tasks)
    found = TaskAnswer() if main is None else answers[main]
    stated = None if main is None else _stated_score(tasks[main].form, found.stated)
    asked = next((name for name, task in tasks.items() if task.levels), None)
    if asked is not None:
        words = answers[asked].value, answers[asked].stated
        level, written = (None if word is None else str(word) for word in words)
    else:
        level, written = (
            None if levels is None or score is None else levels.level(score)
            for score in (found.score, stated)
        )
    return Prediction(found.score, found.std, level, stated, written, found.text, answers=answers)


def _stated_score(form: Form, stated: Value | None) -> float | None:
    """On 0–100, of a number or of a word that has a score."""
    if stated is None or isinstance(form, TextForm):
        return None
    return as_score(form, float(stated)) if isinstance(form, NumberForm) else form.words[str(stated)]


@torch.inference_mode()
def expected_scores(model: VideoModel, visual: Sequence[torch.Tensor]) -> list[float]:
    """The expected score of each video on 0–100, by the first task that asks for one."""
    main = scored(model.prompts.tasks)
    assert main is not None, "no task asks for a score"
    form = model.prompts.tasks[main].form
    if isinstance(model, RegressionModel):
        return [_required(_regressed(model, [pooled])[main].score) for pooled in visual]
    readings = (Reading(model, tokens, [main]).probabilities(main) for tokens in visual)
    return [_required(_answer(form, probabilities, None).score) for probabilities in readings]


def _required(score: float | None) -> float:
    assert score is not None
    return score


def _moments(probabilities: torch.Tensor, counted: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of a distribution [N] over values."""
    p = probabilities.double()
    numbers = torch.tensor(counted, dtype=torch.float64, device=p.device)
    mean = (p * numbers).sum()
    return float(mean), float((p * (numbers - mean) ** 2).sum().sqrt())


def batched(items: Iterable[Features], size: int) -> Iterator[list[Features]]:
    """Lists of up to `size` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
