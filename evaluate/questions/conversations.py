"""Questions and answers written as conversations, as FineVQ's which-of-four and yes/no questions are."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from evaluate.errors import QuestionError
from evaluate.questions.question import Question

_HUMAN = frozenset({"human", "user"})
_MODEL = frozenset({"gpt", "ai", "assistant", "model"})
_SLOT = re.compile(r"<\|?(?:video|image)\|?>")
# As in `options{A:[noise], B:[blur]}Just answer …`.
_OPTION = re.compile(r"\b([A-Z])\s*[:.]\s*\[([^\]]*)\]")
_YES_OR_NO = re.compile(r"(yes|no)\.?", re.IGNORECASE)
_WORDS = MappingProxyType({"A": "Yes", "B": "No"})


def conversation_question(record: Mapping[str, Any], number: int) -> Question:
    """A record with one question and its answer: a letter of options in the question, yes or no, or open.

    Raises QuestionError where the record cannot be asked.
    """
    turns = record["conversations"]
    asked, answered = _turns(turns)
    slots = len(_SLOT.findall(asked))
    text = _SLOT.sub("", asked).strip()
    videos = _videos(record)
    if slots > len(videos):
        raise QuestionError(f"the question has {slots} places for videos, but the record names {len(videos)}")
    if not text:
        raise QuestionError("the question has no words")
    kind = {"dataset": (record["dataset_name"],)} if isinstance(record.get("dataset_name"), str) else {}
    if options := _OPTION.findall(text):
        return _which(number, videos, text, options, answered, kind)
    if found := _YES_OR_NO.fullmatch(answered):
        right = "A" if found[1].casefold() == "yes" else "B"
        return Question(
            number, videos, text, _WORDS, right, None, _kinds(kind, "yes-or-no"), lettered=False, listed=True
        )
    if not answered:
        raise QuestionError("the answer is empty")
    return Question(number, videos, text, reference=answered, categories=_kinds(kind, "open_ended"))


def _which(
    number: int,
    videos: tuple[str, ...],
    text: str,
    options: list[tuple[str, str]],
    answer: str,
    kind: Mapping[str, tuple[str, ...]],
) -> Question:
    named = {letter: option.strip() for letter, option in options if option.strip()}
    right = answer.strip().rstrip(".")
    if len(named) < len(options):
        raise QuestionError("the options have a letter twice, or no text")
    if right not in named:
        raise QuestionError(
            f"the answer is {answer!r:.40}: expected the letter of an option ({', '.join(named)})"
        )
    return Question(
        number, videos, text, MappingProxyType(named), right, None, _kinds(kind, "which"), listed=True
    )


def _kinds(others: Mapping[str, tuple[str, ...]], kind: str) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({"question_type": (kind,), **others})


def _turns(turns: Any) -> tuple[str, str]:
    if not isinstance(turns, list) or len(turns) != 2 or not all(isinstance(turn, dict) for turn in turns):
        count = len(turns) if isinstance(turns, list) else "no"
        raise QuestionError(f"a conversation of {count} turns: expected one question and its answer")
    roles = [str(turn.get("from", turn.get("role"))) for turn in turns]
    if roles[0] not in _HUMAN or roles[1] not in _MODEL:
        raise QuestionError(f"turns of {' and '.join(roles)}: expected a person's and the model's")
    values = [turn.get("value", turn.get("content")) for turn in turns]
    if not isinstance(values[0], str) or not isinstance(values[1], str | int | float):
        raise QuestionError("a turn without text")
    return values[0], str(values[1]).strip()


def _videos(record: Mapping[str, Any]) -> tuple[str, ...]:
    found = record.get("video", record.get("image"))
    names = found if isinstance(found, list) else [found]
    # FineVQ's first name begins with a byte-order mark.
    clean = [name.strip().lstrip("\ufeff") for name in names if isinstance(name, str)]
    if not clean or len(clean) < len(names) or not all(clean):
        raise QuestionError(f"`video` is {found!r:.60}: expected a name")
    return tuple(clean)
