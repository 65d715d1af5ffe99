"""Asking a benchmark's questions, of the shipped model: stand-in videos, every record accounted for."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from asked_questions import decoded_files, dev_file, questions, stand_ins
from small_videos import encode
from typer.testing import CliRunner

from config.load import EMBEDDED_MODEL
from evaluate.__main__ import app
from evaluate.questions.asking import Asked, ask_all, conversation
from evaluate.questions.outcome import WAYS, Outcome
from evaluate.questions.question import Question, Questions, Unusable
from evaluate.questions.reading import read_questions
from evaluate.scoring.model import load_trained
from evaluate.watching.watcher import Watcher
from train.answers.conversation import SLOT
from train.inference.opening import Opening
from train.inference.talk import Talk


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were decoded."""
    return decoded_files(monkeypatch)


@pytest.mark.slow
def test_questions_of_the_real_file_on_stand_ins_decoded_once(
    shared_data: Path, tmp_path: Path, decoded: list[Path]
) -> None:
    records = json.loads(dev_file(shared_data).read_text())[:30]
    (tmp_path / "some.json").write_text(json.dumps(records))
    videos = stand_ins(tmp_path, {record["video"] for record in records[1:]} - {records[0]["video"]})
    found = questions(
        tmp_path / "some.json", "--videos", videos, "--out", tmp_path / "out", "--open-tokens", "4"
    )
    closed = [record for record in records if record["question_type"] != "open_ended"]
    assert (found["questions"], found["closed"], found["open"]) == (30, len(closed), 30 - len(closed))
    assert [each["number"] for each in found["not_asked"]] == [1]
    assert "has learnt to answer score alone" in " ".join(found["warnings"])
    assert (found["file"], found["run"]) == (str(tmp_path / "some.json"), str(EMBEDDED_MODEL))
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["weights"] == found["weights"]
    assert "is not in" in found["not_asked"][0]["reason"]
    assert found["inconsistent"] == len(found["inconsistencies"]) > 0
    assert found["scored"] + found["exported"] == 29 and len(decoded) == 2
    assert found["accuracy"].keys() == {"likelihood", "letter"}
    for figures in found["accuracy"].values():
        assert 0 <= figures["all"] <= 1 and figures["video_type"].keys() <= {"Natural", "AIGC", "CG"}
    kept = [json.loads(line) for line in (tmp_path / "out" / "answers.jsonl").read_text().splitlines()]
    assert [each["number"] for each in kept] == list(range(1, 31))
    asked = next(each for each in kept if each["likelihoods"])
    assert asked["likelihoods"].keys() == asked["options"].keys() and asked["written"] is not None
    exported = [json.loads(line) for line in (tmp_path / "out" / "open.jsonl").read_text().splitlines()]
    assert len(exported) == found["exported"] > 0
    assert all(each["reference"] and isinstance(each["response"], str) for each in exported)


@pytest.mark.soak
def test_the_whole_real_file_runs_through(shared_data: Path, tmp_path: Path, decoded: list[Path]) -> None:
    names = {record["video"] for record in json.loads(dev_file(shared_data).read_text())}
    found = questions(
        dev_file(shared_data), "--videos", stand_ins(tmp_path, names), "--out", tmp_path / "out"
    )
    assert (found["questions"], found["closed"], found["scored"]) == (892, 622, 622)
    assert (found["open"], found["exported"], found["inconsistent"]) == (270, 270, 31)
    assert found["counts"]["question_type"] == {"what/how": 328, "yes-or-no": 294}
    assert len(decoded) == 2


def question(number: int, right: str, options: Mapping[str, str], **further: Any) -> Question:
    return Question(number, ("a.mp4",), "Which?", MappingProxyType(dict(options)), right, **further)


FOUR = {"A": "noise", "B": "blur", "C": "none", "D": "flicker"}
TWO = {"A": "Yes", "B": "No"}


def test_accuracy_is_by_every_category_and_both_ways() -> None:
    kinds = [{"type": ("x",), "concern": ("T", "A")}, {"type": ("y",), "concern": ("A",)}]
    first = question(1, "B", FOUR, categories=kinds[0])
    second = question(2, "A", TWO, categories=kinds[1], lettered=False)
    third = question(3, "D", FOUR, categories=kinds[0], inconsistent="…")
    lost = question(5, "A", TWO)
    asked = [
        Asked(first, {"A": -2.0, "B": -1.0, "C": -3.0, "D": -4.0}, "C. none"),
        Asked(second, {"A": -1.0, "B": -1.0}, "Yes, it is."),
        Asked(third, {"A": -1.0, "B": -2.0, "C": -3.0, "D": -4.0}, "the letter is D"),
        Asked(lost, problem="no video"),
    ]
    outcome = Outcome(Questions([first, second, third, lost], [Unusable(4, "no text")]), asked)
    found = outcome.as_json()
    assert found["accuracy"]["likelihood"] == {
        "all": pytest.approx(1 / 3),
        "consistent": 0.5,
        "type": {"x": 0.5, "y": 0.0},
        "concern": {"A": pytest.approx(1 / 3), "T": 0.5},
    }
    assert found["accuracy"]["letter"]["type"] == {"x": 0.0, "y": 1.0}
    assert found["undecided"] == {"likelihood": 1, "letter": 1}
    assert found["counts"]["concern"] == {"A": 3, "T": 2}
    assert (found["closed"], found["scored"], found["inconsistent"]) == (4, 3, 1)
    assert found["chance"] == pytest.approx((0.25 + 0.5 + 0.25) / 3)
    shown = outcome.table()
    assert "record 4 is not usable: no text" in shown and "record 5 is not asked: no video" in shown


@pytest.mark.slow
def test_a_pair_is_shown_as_two_videos_and_asked_behind_both(tmp_path: Path, decoded: list[Path]) -> None:
    videos = stand_ins(tmp_path, {"X.mp4", "Y.mp4"})
    pair = Question(1, ("X.mp4", "Y.mp4"), "Which is better?", MappingProxyType(FOUR), "A")
    same = Question(2, ("X.mp4", "X.mp4"), "Are they alike?", reference="yes")
    broken = Question(3, ("Z.mp4",), "Is it sharp?", reference="yes")
    (videos / "Z.mp4").write_bytes(b"no video")
    trained = load_trained(EMBEDDED_MODEL, "cpu")
    found = {each.question.number: each for each in ask_all(trained, [pair, same, broken], videos, 4)}
    assert len(decoded) == 3  # and the one that is none
    assert "Z.mp4" in str(found[3].problem)
    opening = Opening.of(trained.settings)
    asked = conversation(pair, opening, options=True).messages[-1].text
    assert asked.startswith(f"Video 1: {SLOT}\nVideo 2: {SLOT}\nWhich is better?\nA. noise\n")
    watcher = Watcher(trained)
    media = [watcher.medium(watcher.watch(videos / name)) for name in pair.videos]
    assert opening.system == next(iter(trained.settings.tasks.values())).system.strip()
    talk = Talk(trained.model, media)
    assert found[1].written == talk.reply(
        conversation(pair, opening, options=True).messages, max_new_tokens=8
    )
    likelihoods = talk.likelihoods(conversation(pair, opening).messages, list(FOUR.values()))
    assert list(found[1].likelihoods.values()) == pytest.approx(likelihoods, abs=1e-4)  # type: ignore[union-attr]
    assert found[2].written == trained.reply(
        [media[0]] * 2, conversation(same, opening).messages, max_new_tokens=4
    )


@pytest.mark.parametrize(
    ("written", "letter"), [("B.", "B"), ("B", "B"), ("b.", None), ("(B)", None), ("", None), ("E", None)]
)
def test_the_letter_is_the_first_character_as_published(written: str, letter: str | None) -> None:
    assert WAYS["letter"](Asked(question(1, "B", FOUR), {}, written)) == letter


def test_nothing_to_ask_about_is_said(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text(
        json.dumps(
            [
                {
                    "video": "a.mp4",
                    "question": "Why?",
                    "answers": ["So"],
                    "correct_choice": "A",
                    "question_type": "open_ended",
                }
            ]
        )
    )
    encode(tmp_path / "b.mp4", frames=30)
    result = CliRunner().invoke(app, ["questions", str(tmp_path / "q.json"), "--videos", str(tmp_path)])
    assert "none of the 1 videos that are asked about is in" in str(result.exception)


FINEVQ = {
    "If there is no {0} in the video, answer [No].If there is {0} in the video, answer [Yes]. ": "Yes",
    "Which dimension matters most, of the options{{A:[Noise], B:[Video quality is good], C:[{0}],"
    " D:[Temporal]}}(Just answer the letter)": "C",
    "Select one type from below options{{A:[None], B:[饱和度过低], C:[other noise], D:[moire pattern],"
    " E:[{0}]}}Just answer the letter.": "E",
}
"""The forms of FineVQ's yesno, abcd2 and abcd files, with their spaces, brackets and Chinese options."""


@pytest.mark.slow
def test_finevqs_files_are_scored(tmp_path: Path) -> None:
    videos = stand_ins(tmp_path, {"0_00_05_1613502823-yase.mp4", "1_05_05_1727504395.mp4"})
    records = [
        {
            "video": video,
            "conversations": [
                {"from": "human", "value": text.format("compression blur")},
                {"from": "gpt", "value": answer},
            ],
        }
        for video in ("0_00_05_1613502823-yase.mp4", "\ufeff1_05_05_1727504395.mp4")
        for text, answer in FINEVQ.items()
    ]
    (tmp_path / "f.jsonl").write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in records))
    read = read_questions(tmp_path / "f.jsonl").asked
    assert [(len(each.options), each.right, each.lettered) for each in read[:3]] == [
        (2, "A", False),
        (4, "C", True),
        (5, "E", True),
    ]
    assert [each.options["C"] for each in read[1:3]] == ["compression blur", "other noise"]
    assert [Asked(read[0], {}, said).letter for said in ("[Yes]", "No, there is not", "B")] == [
        "A",
        "B",
        None,
    ]
    # The text lists the options already, and says how to answer.
    asked = conversation(read[2], Opening.of(load_trained(EMBEDDED_MODEL, "cpu").settings), options=True)
    assert asked.messages[-1].text == f"{SLOT}\n{records[2]['conversations'][0]['value']}"
    found = questions(tmp_path / "f.jsonl", "--videos", videos, "--out", tmp_path / "out")
    assert (found["questions"], found["closed"], found["scored"], found["open"]) == (6, 6, 6, 0)
    assert found["counts"]["question_type"] == {"which": 4, "yes-or-no": 2}
    assert found["chance"] == pytest.approx((1 / 2 + 1 / 4 + 1 / 5) / 3)
