"""The text that the embedded decoder learns from: what viewers said, and the quality that follows from it.

Every conversation has the frame of the real one: system prompt, evidence where the visual tokens will
stand, instruction, response restriction, answer. The answer follows from the evidence by one rule, the
mean of the values of its items, so that a decoder can only reply well by reading its prompt.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean, pstdev
from typing import Final, Literal

Task = Literal["score", "level"]
TASKS: Final[tuple[Task, ...]] = ("score", "level")
LEVELS: Final = ("poor", "fair", "good")
LEVEL_CUTS: Final = (100 / 3, 200 / 3)
ANSWERS: Final[dict[Task, str]] = {
    "score": "The quality score is {score}",
    "level": "The quality level is {level}",
}

SYSTEMS: Final = (
    "",
    "You are an expert in video quality.",
    "You are a helpful assistant for video quality.",
    "You see a video. Judge how good it looks to people.",
    "You are an expert. You watch videos and judge the quality that viewers see.",
    "Your task is to assess the visual quality of a video as people would.",
    "As an expert viewer, look at the video and say what people think of its quality.",
    "A video follows. Its visual quality is to be judged by an expert.",
    "You judge videos for viewers: sharp and clean is good, blur and noise are poor.",
    "Look at the picture and the motion of this clip, then answer the question about its quality.",
)
EITHER_TASK_QUESTIONS: Final = (
    "How good does this video look?",
    "Please rate the quality of this video.",
    "How do people see the visual quality of this clip?",
    "Judge how well this video looks to viewers.",
    "What do viewers think of the quality of the video?",
    "Please assess the perceived quality of the clip.",
    "",
)
QUESTIONS: Final[dict[Task, tuple[str, ...]]] = {
    "score": (
        "What is the quality score of the video?",
        "Which score would viewers give to this clip?",
        "How high is the quality score of this video?",
        "Please score the visual quality of this video.",
        "What score would you give the quality of this video?",
        "What mean opinion score does this clip deserve?",
        "Give the score of this video's quality.",
        "Predict the quality score that people would give this video.",
    ),
    "level": (
        "What is the quality level of the video?",
        "Which level of quality would viewers see in this clip?",
        "How high is the quality level of this video?",
        "Please name the level of visual quality of this video.",
        "What level would you give the quality of this video?",
        "Does this clip have a poor, fair or good quality level?",
        "Give the level of this video's quality.",
        "Predict the quality level that people would see in this video.",
    ),
}
HELD_OUT_QUESTIONS: Final[dict[Task, tuple[str, ...]]] = {
    "score": (
        "What quality score does the video deserve?",
        "How would you score the visual quality of this clip?",
    ),
    "level": (
        "What quality level does the video deserve?",
        "Which visual quality level would you give this clip?",
    ),
}
"""Never trained on; the decoder is judged by them."""
RESTRICTIONS: Final[dict[Task, tuple[str, ...]]] = {
    "score": (
        "Answer with a score from 0 to 100.",
        "Reply with one number from 0 to 100.",
        "The answer is a number between 0 and 100.",
        "Give a whole number from 0, the worst, to 100, the best.",
        "Use the scale from 0 to 100.",
        "Please answer in the form: The quality score is a number from 0 to 100.",
        "Only a score between 0 (bad) and 100 (excellent) is allowed.",
    ),
    "level": (
        "Answer with poor, fair or good.",
        "Reply with one word: poor, fair or good.",
        "The answer is one of good, fair and poor.",
        "Choose one level from poor, fair, good.",
        "Use only the levels good, fair and poor.",
        "Please answer in the form: The quality level is poor, fair or good.",
        "Only the level is allowed: poor (bad), fair (medium) or good (excellent).",
    ),
}

_NUMBER_FRAMES: Final = (
    "{}",
    "{}",
    "{}",
    "{} .",
    "viewers said {} .",
    "scores : {} .",
    "people gave it {} .",
    "opinions of viewers : {} .",
    "rated {} by experts .",
)
_BLOCK_FRAMES: Final = (
    "{} {}",
    "{} {}",
    "{} {}",
    "{} . {} .",
    "picture {} motion {}",
    "picture {} , motion {} .",
    "spatial quality {} ; temporal quality {} .",
    "frames {} and movement {} .",
    "motion {} picture {}",
)
_ASPECTS: Final = (
    "blur", "noise", "blocking", "banding", "flicker", "shake", "stalling", "ringing", "glare", "judder",
)  # fmt: skip
_STRENGTHS: Final = {"no": 95, "slight": 75, "some": 50, "strong": 25, "extreme": 5}
_VERDICTS: Final = {"excellent": 90, "pleasant": 75, "medium": 50, "weak": 25, "bad": 10}
_FORM_ONLY_SHARE: Final = 0.03


@dataclass(frozen=True)
class Conversation:
    """One question about one video, and the quality that its evidence gives."""

    task: Task
    system: str
    evidence: str
    request: str
    values: tuple[int, ...]
    """What each item of the evidence says, 0–100; empty where only the answer's form can be learnt."""

    @property
    def quality(self) -> float | None:
        """Mean of the evidence."""
        return fmean(self.values) if self.values else None

    @property
    def spread(self) -> float:
        """Standard deviation of the evidence: how far the viewers disagree."""
        return pstdev(self.values) if self.values else 0.0

    @property
    def user(self) -> str:
        """The user's message: the evidence stands where the visual tokens will."""
        return f"{self.evidence} {self.request}".strip()


def level_of(quality: float) -> str:
    """The third of 0–100 in which the quality lies."""
    return LEVELS[sum(quality >= cut for cut in LEVEL_CUTS)]


def conversations(seed: int, *, held_out: bool = False) -> Iterator[Conversation]:
    """An endless, reproducible stream; with `held_out`, only the questions that training never asks."""
    draw = random.Random(f"{seed} {'held out' if held_out else 'training'}")
    while True:
        task = draw.choice(TASKS)
        blank = not held_out and draw.random() < _FORM_ONLY_SHARE
        evidence, values = ("", []) if blank else _evidence(draw)
        yield Conversation(
            task, draw.choice(SYSTEMS), evidence, _request(draw, task, held_out), tuple(values)
        )


def corpus_texts() -> list[str]:
    """Every phrase that a conversation can hold: the vocabulary's source."""
    phrases = chain(
        SYSTEMS, EITHER_TASK_QUESTIONS, LEVELS, ANSWERS.values(), _NUMBER_FRAMES, _BLOCK_FRAMES,
        _ASPECTS, _STRENGTHS, _VERDICTS,
        *(table[task] for table in (QUESTIONS, HELD_OUT_QUESTIONS, RESTRICTIONS) for task in TASKS),
    )  # fmt: skip
    return [phrase.replace("{}", " ").replace("{score}", " ").replace("{level}", " ") for phrase in phrases]


def _request(draw: random.Random, task: Task, held_out: bool) -> str:
    restriction = draw.choice(RESTRICTIONS[task])
    if held_out:
        return f"{draw.choice(HELD_OUT_QUESTIONS[task])} {restriction}"
    if draw.random() < 0.3:
        return f"{draw.choice(EITHER_TASK_QUESTIONS)} {restriction}"
    question = draw.choice(QUESTIONS[task])
    return question if draw.random() < 0.1 else f"{question} {restriction}"


def _evidence(draw: random.Random) -> tuple[str, list[int]]:
    quality = draw.uniform(0, 100)
    kind = draw.random()
    if kind < 0.4:
        values = _opinions(draw, quality, draw.choice((1, 2, 3, 4, 4, 4, 6, 8)))
        return draw.choice(_NUMBER_FRAMES).format(_joined(values)), values
    if kind < 0.75:
        count = draw.choice((1, 2, 3, 4, 4, 4))
        first = _opinions(draw, draw.uniform(0, 100) if draw.random() < 0.5 else quality, count)
        second = _opinions(draw, quality, count)
        return draw.choice(_BLOCK_FRAMES).format(_joined(first), _joined(second)), [*first, *second]
    items = [_item(draw, quality) for _ in range(draw.choice((1, 2, 3, 4, 5)))]
    separator = draw.choice((" ", " , ", " "))
    return separator.join(text for text, _ in items), [value for _, value in items]


def _item(draw: random.Random, quality: float) -> tuple[str, int]:
    wanted = quality + draw.gauss(0, 15)
    kind = draw.random()
    if kind < 0.2:
        number = _opinions(draw, quality, 1)[0]
        return str(number), number
    scale = _STRENGTHS if kind < 0.7 else _VERDICTS
    word = min(scale, key=lambda name: abs(scale[name] - wanted))
    return (f"{word} {draw.choice(_ASPECTS)}" if scale is _STRENGTHS else word), scale[word]


def _opinions(draw: random.Random, quality: float, count: int) -> list[int]:
    spread = draw.choice((0.0, 4.0, 8.0, 15.0))
    return [min(100, max(0, round(quality + draw.gauss(0, spread)))) for _ in range(count)]


def _joined(values: Sequence[int]) -> str:
    return " ".join(map(str, values))
