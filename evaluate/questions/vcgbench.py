"""VCGBench (Maaz et al., ACL 2024): its files of questions, and predictions as its scripts read them.

generic_qa.json and temporal_qa.json are lists of `video_name`, `Q` and `A`; a record of consistency_qa.json
asks the same in two ways, `Q1` and `Q2`. Video names have no extension. Predictions are the same records
with `pred`, or with `pred1` and `pred2`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from evaluate.questions.question import Question, Questions, text_of

if TYPE_CHECKING:
    from evaluate.questions.asking import Asked

_PREDICTION = {"Q": "pred", "Q1": "pred1", "Q2": "pred2"}


def is_vcgbench(record: Any) -> bool:
    """Whether a record is one of these."""
    return isinstance(record, dict) and "video_name" in record and not _PREDICTION.keys().isdisjoint(record)


def vcgbench_questions(record: Mapping[str, Any], number: int) -> list[Question]:
    """One open question, or two. Raises QuestionError where the record lacks a text."""
    video, reference = text_of(record, "video_name"), text_of(record, "A")
    asked = ("Q",) if "Q" in record else ("Q1", "Q2")
    return [
        Question(number, (video,), text_of(record, key), reference=reference, predicts=_PREDICTION[key])
        for key in asked
    ]


def predictions(questions: Questions, asked: Iterable["Asked"]) -> list[dict[str, Any]]:
    """The records with what was answered, in the file's order, without those that have no answer.

    The scripts stop at a record without a prediction.
    """
    written: dict[int, dict[str, str]] = defaultdict(dict)
    lacking = set()
    for each in asked:
        number, key = each.question.number, each.question.predicts
        if each.written is None or key is None:
            lacking.add(number)
        else:
            written[number][key] = each.written
    return [
        {**record, **written[number]}
        for number, record in questions.records.items()
        if number in written and number not in lacking
    ]
