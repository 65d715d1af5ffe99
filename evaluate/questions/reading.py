"""A file of questions as it is published: records of a benchmark, or conversations."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from evaluate.errors import QuestionError, QuestionFileError
from evaluate.questions.benchmark import benchmark_question
from evaluate.questions.conversations import conversation_question
from evaluate.questions.question import Question, Questions, Unusable
from evaluate.questions.vcgbench import is_vcgbench, vcgbench_questions
from store.labels.conversations import Dialogue, read_conversations
from store.labels.records import Broken, read_records


def read_questions(path: Path) -> Questions:
    """Every record of JSON, JSON lines or a dataset on disk: a question, or named with the reason why not.

    Raises QuestionFileError where none of its records can be asked, and what `read_records` raises.
    """
    found = Questions([], [])
    records = list(enumerate((record for _, record in read_records(path)), start=1))
    if any(isinstance(record, dict) and "question" in record for _, record in records):
        for number, record in records:
            _add(found, number, partial(_benchmark, record, number))
    elif any(is_vcgbench(record) for _, record in records):
        for number, record in records:
            _add(found, number, partial(_vcgbench, record, number))
        asked = {question.number for question in found.asked}
        found.records.update((number, record) for number, record in records if number in asked)
    else:
        conversations = read_conversations(path)
        for dialogue in conversations.used:
            _add(found, dialogue.line, partial(_conversation, dialogue))
        found.unusable.extend(Unusable(each.line, each.reason) for each in conversations.reported)
    if not found.asked:
        first = f"; the first {found.unusable[0].reason}" if found.unusable else ""
        raise QuestionFileError(f"{path}: none of its {len(found.unusable)} records is a question{first}")
    return found


def _add(found: Questions, number: int, questions: Callable[[], list[Question]]) -> None:
    try:
        found.asked.extend(questions())
    except QuestionError as error:
        found.unusable.append(Unusable(number, str(error)))


def _benchmark(record: Any, number: int) -> list[Question]:
    return [benchmark_question(_object(record), number)]


def _vcgbench(record: Any, number: int) -> list[Question]:
    return vcgbench_questions(_object(record), number)


def _conversation(dialogue: Dialogue) -> list[Question]:
    return [conversation_question(dialogue)]


def _object(record: Any) -> Mapping[str, Any]:
    if isinstance(record, Broken):
        raise QuestionError(record.reason)
    if not isinstance(record, dict):
        raise QuestionError(f"is {record!r:.40}: expected an object")
    return record
