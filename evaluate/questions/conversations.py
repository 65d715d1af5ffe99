"""Questions and answers written as conversations, as FineVQ's which-of-four and yes/no questions are."""

import re
from types import MappingProxyType

from evaluate.errors import QuestionError
from evaluate.questions.question import Question
from store.labels.conversations import Dialogue, Turn

# As in `options{A:[noise], B:[blur]}Just answer …`.
_OPTION = re.compile(r"\b([A-Z])\s*[:.]\s*\[([^\]]*)\]")
_YES_OR_NO = re.compile(r"(yes|no)\.?", re.IGNORECASE)
_WORDS = MappingProxyType({"A": "Yes", "B": "No"})


def conversation_question(dialogue: Dialogue) -> Question:
    """One question and its answer: a letter of options in the question, yes or no, or open.

    Raises QuestionError where the conversation is not so.
    """
    said = [turn for turn in dialogue.turns if turn.role != "system"]
    if len(said) != 2:
        raise QuestionError(f"a conversation of {len(said)} turns: expected one question and its answer")
    text, answer = (_text(turn) for turn in said)
    if not text:
        raise QuestionError("the question has no words")
    if options := _OPTION.findall(text):
        return _which(dialogue, text, options, answer)
    if found := _YES_OR_NO.fullmatch(answer):
        right = "A" if found[1].casefold() == "yes" else "B"
        return Question(
            dialogue.line,
            dialogue.media,
            text,
            _WORDS,
            right,
            categories=_kind("yes-or-no"),
            lettered=False,
            listed=True,
            turns=dialogue.turns[:-1],
        )
    return Question(
        dialogue.line,
        dialogue.media,
        text,
        reference=answer,
        categories=_kind("open_ended"),
        turns=dialogue.turns[:-1],
    )


def _which(dialogue: Dialogue, text: str, options: list[tuple[str, str]], answer: str) -> Question:
    named = {letter: option.strip() for letter, option in options if option.strip()}
    right = answer.rstrip(".")
    if len(named) < len(options):
        raise QuestionError("the options have a letter twice, or no text")
    if right not in named:
        raise QuestionError(
            f"the answer is {answer!r:.40}: expected the letter of an option ({', '.join(named)})"
        )
    return Question(
        dialogue.line,
        dialogue.media,
        text,
        MappingProxyType(named),
        right,
        categories=_kind("which"),
        listed=True,
        turns=dialogue.turns[:-1],
    )


def _text(turn: Turn) -> str:
    return "".join(part for part in turn.parts if isinstance(part, str)).strip()


def _kind(name: str) -> MappingProxyType[str, tuple[str, ...]]:
    return MappingProxyType({"question_type": (name,)})
