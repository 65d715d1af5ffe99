"""Conversations made from opinion scores alone: tasks' questions about videos, and which of two is better."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from config.schema import DatasetSettings, TaskSettings, WordsForm
from store.labels.files import Label, MosScale
from train.answers.forms import written
from train.answers.levels import Levels
from train.data.samples import Truth

_BETTER = (
    "The first video: <video>\nThe second video: <video>\nWhich of the two has the better quality?",
    "<video> <video> Compare the quality of these two videos: which one looks better?",
    "<video> and <video>: which of the two videos would viewers prefer for its quality?",
)
_TRIES = 100
"""For each pair: as often are two videos drawn that may be too much alike."""


def made_conversations(
    dataset: DatasetSettings,
    labels: Sequence[Label],
    tasks: Mapping[str, TaskSettings],
    pairs: int = 0,
    least_difference: float = 5.0,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Records as LLaVA's: of each label every task's question and answer, then so many pairs.

    Levels are cut by these labels. The two of a pair differ by `least_difference` points of 0–100 or more;
    there are fewer pairs where labels do not. All is drawn by the seed. Raises TaskLabelError.
    """
    draw, scale = random.Random(seed), MosScale.of(dataset)
    scores = [scale.to_100(label.mos) for label in labels]
    words = {name: task.form for name, task in tasks.items() if task.levels}
    levels = {n: Levels.fit(form, scores) for n, form in words.items() if isinstance(form, WordsForm)}
    truth = Truth(dataset, tasks, levels)
    for label in labels:
        for name, value in truth.of(label).items():
            task = tasks[name]
            asked = f"<video> {draw.choice(task.questions)} {task.restriction}".rstrip()
            answer = task.answer.format(value=written(task.form, value))
            yield _record([label], asked, answer, task.system)
    found = set[tuple[int, int]]()
    for _ in range(_TRIES * pairs if len(labels) > 1 else 0):
        if len(found) == pairs:
            break
        first, second = draw.sample(range(len(labels)), 2)
        if abs(scores[first] - scores[second]) < least_difference or (first, second) in found:
            continue
        found.add((first, second))
        better = "The first video." if scores[first] > scores[second] else "The second video."
        yield _record([labels[first], labels[second]], draw.choice(_BETTER), better)


def _record(labels: Sequence[Label], asked: str, answer: str, system: str = "") -> dict[str, Any]:
    names = [label.written or label.video for label in labels]
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
    return {
        "video": names[0] if len(names) == 1 else names,
        "conversations": [*([{"from": "system", "value": system}] if system else []), *turns],
    }
