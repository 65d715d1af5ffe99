"""Scores of eight dimensions for every second of a video, by the likelihood of five words.

The dimensions are those that VQA²'s assistant is asked about, second by second (arXiv 2411.03795); wordings
and words are our own (dimensions.toml).
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean

import torch

from evaluate.watching.stretch import Stretch
from evaluate.watching.watcher import Watched, Watcher
from extract.location import Location
from train.answers.conversation import Message
from train.inference.opening import Opening
from train.inference.talk import Talk
from train.pretrained import TrainedModel

_FILE = Path(__file__).with_name("dimensions.toml")


@dataclass(frozen=True)
class Dimensions:
    """What is asked, and what each word counts."""

    questions: tuple[str, ...]
    words: Mapping[str, float]
    aspects: Mapping[str, str]
    """Dimension → how it is named in a question."""


@dataclass(frozen=True)
class Probed:
    """The scores of one video, 0–100, 100 is best."""

    video: Location
    seconds: Sequence[Mapping[str, float]]
    """Of each second, dimension → score."""


@cache
def dimensions() -> Dimensions:
    """Those of dimensions.toml."""
    found = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return Dimensions(tuple(found["questions"]), found["words"], found["aspects"])


def probe(trained: TrainedModel, watcher: Watcher, watched: Watched) -> Probed:
    """Ask about every whole second by itself; a video has one at least.

    Raises StretchError where an encoder sees the video as a whole, TrainError where the model writes no text.
    """
    opening, seconds = Opening.of(trained.settings), []
    for second in range(max(1, int(watched.seconds + 0.05))):
        medium = watcher.medium(watched, Stretch(second, second + 1))
        talk = trained.talk()
        talk.show(medium, *opening.slots)
        seconds.append({name: _score(talk, opening, aspect) for name, aspect in dimensions().aspects.items()})
    return Probed(watched.video, seconds)


def _score(talk: Talk, opening: Opening, aspect: str) -> float:
    """The expected score: the words' scores, weighted by their likelihoods; the mean over the questions."""
    asked = dimensions()
    worth = torch.tensor([*asked.words.values()], dtype=torch.float64)
    scores = []
    for question in asked.questions:
        turn = Message("user", opening.text(question.format(aspect=aspect), 1))
        found = talk.likelihoods([*opening.messages, turn], [*asked.words])
        scores.append(float(torch.tensor(found, dtype=torch.float64).softmax(dim=0) @ worth))
    return fmean(scores)
