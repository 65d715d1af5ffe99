"""Records of Q-Bench-Video (Zhang et al., CVPR 2025), as its files and copies of them have them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from evaluate.errors import QuestionError
from evaluate.questions.question import Question, text_of
from store.labels.resolve import EXTENSIONS

_NAMES = ("video", "video_name", "video_path")
_NO_CATEGORY = frozenset({*_NAMES, "question", "answers", "correct_choice", "correct_ans", "id", "index"})
_ABOUT_SEVERAL = ("compare", "joint")
_BETWEEN = "_cat_"
_CONCERN = "CONCERN_"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def benchmark_question(record: Mapping[str, Any], number: int) -> Question:
    """A record with `question` and `answers`, of which empty ones fill up the list.

    An open question (`question_type` "open_ended") has its reference among the answers. Raises QuestionError
    where the record cannot be asked.
    """
    text = text_of(record, "question")
    answers = record.get("answers")
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise QuestionError(f"`answers` is {answers!r:.60}: expected a list of texts")
    options = {letter: answer for letter, answer in zip(_LETTERS, answers, strict=False) if answer.strip()}
    right = _letter(record.get("correct_choice"), options)
    stated = record.get("correct_ans")
    kind = str(record.get("question_type", ""))
    is_open = kind.startswith("open")
    contradiction = None
    if not is_open and stated is not None and stated != options[right]:
        contradiction = f"correct_ans is {stated!r}, but option {right} is {options[right]!r}"
    if not is_open and len(options) < 2:
        raise QuestionError(f"{len(options)} options that are not empty: expected two or more")
    return Question(
        number,
        _videos(record),
        text,
        MappingProxyType({} if is_open else options),
        None if is_open else right,
        options[right] if is_open else None,
        MappingProxyType(_categories(record)),
        contradiction,
    )


def _letter(choice: Any, options: Mapping[str, str]) -> str:
    letter = choice.strip().rstrip(".") if isinstance(choice, str) else choice
    if letter not in options:
        there = ", ".join(options) or "none"
        raise QuestionError(f"`correct_choice` is {choice!r}: expected the letter of an option ({there})")
    return str(letter)


def _videos(record: Mapping[str, Any]) -> tuple[str, ...]:
    """One name, or the two of a pair: a list, or `X.mp4_cat_Y.mp4.mp4` for X.mp4 and Y.mp4."""
    found = next((record[key] for key in _NAMES if record.get(key)), None)
    given = found if isinstance(found, list) else [found]
    names = [name.strip() for name in given if isinstance(name, str) and name.strip()]
    if not names or len(names) < len(given):
        raise QuestionError(f"`video` is {found!r:.60}: expected a name")
    context = record.get("context")
    several = isinstance(context, str) and context.casefold().startswith(_ABOUT_SEVERAL)
    if len(names) == 1:
        names = _pair(names[0], several) or names
    if several and len(names) == 1:
        raise QuestionError(f"{context!r} asks about several videos, but {names[0]!r} names one")
    return tuple(names)


def _pair(name: str, several: bool) -> list[str] | None:
    """None of a name that only happens to hold `_cat_`."""
    first, between, rest = name.partition(_BETWEEN)
    named = any(first.lower().endswith(extension) for extension in EXTENSIONS)
    if not (between and rest and (several or named)):
        return None
    stem, dot, extension = rest.rpartition(".")
    return [first, stem if dot and f".{extension.lower()}" in EXTENSIONS else rest]


def _categories(record: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Every further field that is a text; of concerns together also each alone."""
    found: dict[str, tuple[str, ...]] = {}
    for key, value in record.items():
        if key in _NO_CATEGORY or not isinstance(value, str) or not value:
            continue
        found[key] = (value,)
        if value.startswith(_CONCERN):
            found["concern"] = tuple(value.removeprefix(_CONCERN).split("_"))
    return found
