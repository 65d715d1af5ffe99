"""Files of questions as they are published, dirt included."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evaluate.errors import QuestionFileError
from evaluate.questions.question import Question
from evaluate.questions.reading import read_questions
from store.labels.errors import LabelLayoutError, LabelsMissingError

CLOSED: dict[str, Any] = {
    "video": "a.mp4",
    "question": "Is it sharp?",
    "answers": ["Yes", "No", "", ""],
    "question_type": "yes-or-no",
    "context": "Global",
    "quality_concern": "CONCERN_Technical_Temporal",
    "correct_choice": "B",
    "correct_ans": "No",
}
OPEN = CLOSED | {
    "answers": ["It is blurred.", "", "", ""],
    "question_type": "open_ended",
    "correct_choice": "A",
    "correct_ans": "blurred",
}


def read(folder: Path, *records: object) -> list[Question]:
    (folder / "questions.json").write_text(json.dumps(list(records)))
    return read_questions(folder / "questions.json").asked


def test_the_real_dev_file_is_read_as_it_is(shared_data: Path) -> None:
    found = read_questions(shared_data / "conversations" / "qbench-video" / "qbvideo_dev_single.json")
    closed = [question for question in found.asked if question.closed]
    assert (len(found.asked), len(closed), len(found.unusable)) == (892, 622, 0)
    assert len(found.inconsistent) == 31 and all(question.closed for question in found.inconsistent)
    assert Counter(len(question.options) for question in closed) == {4: 327, 2: 295}
    assert Counter(question.right for question in closed) == {"A": 227, "B": 227, "C": 88, "D": 80}
    assert all(question.reference and not question.options for question in found.asked if not question.closed)
    types = Counter(question.categories["question_type"] for question in found.asked)
    assert types == {("what/how",): 328, ("yes-or-no",): 294, ("open_ended",): 270}
    assert len({question.categories["quality_concern"] for question in found.asked}) == 15
    technical = sum("Technical" in question.categories["concern"] for question in found.asked)
    assert technical == 342 + 117 + 50 + 42 + 23 + 6 + 4 + 3


@pytest.mark.parametrize(
    ("file", "closed", "open"), [("abcd_train_en", 2573, 0), ("livevqc_train_mos1", 0, 468)]
)
def test_finevqs_real_conversations_are_read(shared_data: Path, file: str, closed: int, open: int) -> None:
    found = read_questions(shared_data / "conversations" / "finevq" / f"{file}.jsonl")
    assert sum(question.closed for question in found.asked) == closed
    assert (len(found.asked), found.unusable) == (closed + open, [])
    first = found.asked[0]
    if closed:
        assert first.videos == ("1_05_05_1727504395.mp4",)  # without its byte-order mark
        assert (first.right, first.options["B"], len(first.options)) == ("A", "lagging", 5)


def test_an_open_questions_reference_is_no_option(tmp_path: Path) -> None:
    two = OPEN | {"answers": ["No", "Yes", "", ""], "correct_choice": "B"}
    first, second = read(tmp_path, OPEN, two)
    assert (first.options, first.right, first.reference) == ({}, None, "It is blurred.")
    assert (second.options, second.reference, second.inconsistent) == ({}, "Yes", None)


def test_pairs_are_told_from_names_that_only_look_like_them(tmp_path: Path) -> None:
    pair = CLOSED | {"video": "X.mp4_cat_Y.mp4.mp4", "context": "Compare-coarse"}
    bare = CLOSED | {"video_name": "A_cat_B.mp4", "video": None, "context": "Joint"}
    cat = CLOSED | {"video": "my_cat_sleeps.mp4"}
    listed = CLOSED | {"video": ["X.mp4", "Y.mp4"]}
    found = [question.videos for question in read(tmp_path, pair, bare, cat, listed)]
    assert found == [("X.mp4", "Y.mp4"), ("A", "B"), ("my_cat_sleeps.mp4",), ("X.mp4", "Y.mp4")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"correct_choice": "C"}, r"`correct_choice` is 'C': expected the letter of an option \(A, B\)"),
        ({"correct_choice": None}, "`correct_choice` is None"),
        ({"answers": ["Yes", "", "", ""], "correct_choice": "A"}, "1 options that are not empty"),
        ({"answers": "Yes"}, "`answers` is 'Yes'"),
        ({"question": " "}, "`question` is ' '"),
        ({"video": ""}, "expected a name"),
        ({"context": "Compare"}, "asks about several videos, but 'a.mp4' names one"),
    ],
)
def test_a_record_that_cannot_be_asked_is_named(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    (tmp_path / "q.json").write_text(json.dumps([CLOSED, CLOSED | change]))
    found = read_questions(tmp_path / "q.json")
    ((number, said),) = [(each.number, each.reason) for each in found.unusable]
    assert number == 2 and re.search(reason, said)
    (tmp_path / "q.json").write_text(json.dumps([CLOSED | change]))
    with pytest.raises(QuestionFileError, match="none of its 1 records is a question"):
        read_questions(tmp_path / "q.json")


def test_conversations_that_cannot_be_asked_are_named(tmp_path: Path) -> None:
    def said(*texts: str) -> dict[str, Any]:
        roles = ("human", "ai") * 2
        turns = [{"from": role, "value": text} for role, text in zip(roles, texts, strict=False)]
        return {"video": "a.mp4", "conversations": turns}

    records = [
        said("Which? {A:[x], B:[y]}", "B"),
        said("Which? {A:[x], B:[y]}", "C"),
        said("Which? {A:[x], A:[y]}", "A"),
        said("Is it?", "Yes", "Why?", "So."),
        said("Is it?"),
        said("<video>", "Yes"),
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, records)))
    found = read_questions(tmp_path / "q.jsonl")
    assert [question.right for question in found.asked] == ["B"]
    reasons = {each.number: each.reason for each in found.unusable}
    assert reasons.keys() == {2, 3, 4, 5, 6}
    assert reasons[2] == "the answer is 'C': expected the letter of an option (A, B)"
    assert "a letter twice" in reasons[3] and "4 turns" in reasons[4] and "no words" in reasons[6]


def test_yes_or_no_and_broken_lines_of_conversations(tmp_path: Path) -> None:
    ask = {"from": "human", "value": "<|video|> Does this video have motion blur? Answer yes or no."}
    lines = [
        json.dumps({"video": "a.mp4", "conversations": [ask, {"from": "ai", "value": "No."}]}),
        '{"video": "b.mp4", "conversa',
    ]
    (tmp_path / "q.jsonl").write_text("\ufeff" + "\n\n".join(lines), encoding="utf-8")
    found = read_questions(tmp_path / "q.jsonl")
    (question,) = found.asked
    assert question.text == "Does this video have motion blur? Answer yes or no."
    assert (dict(question.options), question.right) == ({"A": "Yes", "B": "No"}, "B")
    assert not question.lettered
    assert [(each.number, each.reason[:22]) for each in found.unusable] == [(3, "cannot be read as JSON")]


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text("[")
    with pytest.raises(LabelLayoutError, match="cannot be read as JSON"):
        read_questions(tmp_path / "q.json")
    (tmp_path / "q.json").write_text('[{"video": "a.mp4", "mos": 3}]')
    with pytest.raises(QuestionFileError, match="none of its 1 records is a question"):
        read_questions(tmp_path / "q.json")
    with pytest.raises(LabelsMissingError, match=r"none\.json does not exist"):
        read_questions(tmp_path / "none.json")
