"""A file of questions as it is published: records of a benchmark, or conversations, in JSON or JSON lines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config.errors import refusing
from evaluate.errors import QuestionError, QuestionFileError
from evaluate.questions.benchmark import benchmark_question
from evaluate.questions.conversations import conversation_question
from evaluate.questions.question import Question, Questions, Unusable


def read_questions(path: Path) -> Questions:
    """Every record of a JSON list or of a .jsonl file: a question, or named with the reason why it is none.

    Raises QuestionFileError where the file is none of these, or none of its records can be asked.
    """
    asked: list[Question] = []
    unusable: list[Unusable] = []
    for number, record in _records(path):
        try:
            asked.append(_question(record, number))
        except QuestionError as error:
            unusable.append(Unusable(number, str(error)))
    if not asked:
        first = f"; the first: {unusable[0].reason}" if unusable else ""
        raise QuestionFileError(f"{path}: none of its {len(unusable)} records is a question{first}")
    return Questions(asked, unusable)


def _question(record: Any, number: int) -> Question:
    if isinstance(record, QuestionError):
        raise record
    if not isinstance(record, dict):
        raise QuestionError(f"it is {record!r:.40}: expected an object")
    if "conversations" in record:
        return conversation_question(record, number)
    if "question" in record:
        return benchmark_question(record, number)
    raise QuestionError(
        f"it has the keys {', '.join(map(str, record)) or 'of nothing'}: expected `question` and `answers`,"
        " or `conversations`"
    )


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    """(number, record); a line that is no JSON is the QuestionError that says so."""
    with refusing(QuestionFileError, f"{path} cannot be read"):
        text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() == ".jsonl":
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield number, _line(line)
        return
    with refusing(QuestionFileError, f"{path} cannot be read as JSON"):
        content = json.loads(text)
    if not isinstance(content, list):
        raise QuestionFileError(f"{path} begins with {text[:40]!r}: expected a list of questions")
    yield from enumerate(content, start=1)


def _line(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        return QuestionError(f"it cannot be read as JSON: {error}")
