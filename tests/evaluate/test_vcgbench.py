"""VCGBench: its files of questions become predictions that its evaluation scripts read."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_videos import encode
from typer.testing import CliRunner

from evaluate.__main__ import app
from evaluate.questions.reading import read_questions
from train.inference.talk import Talk

GENERIC: list[dict[str, Any]] = [
    {"video_name": "v_-0r0HEwAYiQ", "Q": "What happens in the video?", "A": "A test picture moves."},
    {"video_name": "v_gone", "Q": "Who is there?", "A": "Nobody."},
    {"video_name": "v_p1QGn0IzfW0", "Q": "What is it about?", "A": "A “test” picture."},
    {"video_name": "v_-0r0HEwAYiQ", "Q": "And the colours?", "A": "They change."},
]
CONSISTENCY: list[dict[str, Any]] = [
    {"video_name": "v_p1QGn0IzfW0", "Q1": "What moves?", "Q2": "Which thing is in motion?", "A": "A bar."},
    {"video_name": "v_gone", "Q1": "Who is there?", "Q2": "Which people are seen?", "A": "Nobody."},
    {"video_name": "v_p1QGn0IzfW0", "Q1": "What stands still?", "A": "Nothing."},
]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    (tmp_path / "Test_Videos").mkdir()
    encode(tmp_path / "Test_Videos" / "v_-0r0HEwAYiQ.mp4", frames=30, size=(64, 96))
    encode(
        tmp_path / "Test_Videos" / "v_p1QGn0IzfW0.mkv", frames=45, size=(64, 96), container_format="matroska"
    )
    return tmp_path / "Test_Videos"


def ask(records: list[dict[str, Any]], videos: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The figures, and the file of predictions."""
    folder = videos.parent
    (folder / "qa.json").write_text(json.dumps(records))
    line = ["questions", folder / "qa.json", "--videos", videos, "--out", folder / "out", "--open-tokens", 4]
    result = CliRunner().invoke(app, [*map(str, line), "--json"], catch_exceptions=False)
    return json.loads(result.stdout), json.loads((folder / "out" / "predictions.json").read_text())


def test_predictions_are_the_records_with_answers(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures, predicted = ask(GENERIC, videos)
    assert [{k: v for k, v in each.items() if k != "pred"} for each in predicted] == [
        GENERIC[0],
        GENERIC[2],
        GENERIC[3],
    ]
    assert all(isinstance(each["pred"], str) for each in predicted)
    assert (figures["questions"], figures["exported"], figures["predicted"]) == (4, 3, 3)
    assert [each["number"] for each in figures["not_asked"]] == [2]
    assert "'v_gone' is not in" in figures["not_asked"][0]["reason"]
    exported = [json.loads(line) for line in (videos.parent / "out" / "open.jsonl").read_text().splitlines()]
    assert [each["response"] for each in exported] == [each["pred"] for each in predicted]
    assert exported[1]["reference"] == "A “test” picture."

    encode(videos / "v_gone.avi", frames=20, size=(64, 96), codec="mpeg4", container_format="avi")
    answered: list[str] = []
    original = Talk.reply
    monkeypatch.setattr(Talk, "reply", lambda self, *a, **k: answered.append("") or original(self, *a, **k))
    figures, all_predicted = ask(GENERIC, videos)
    assert len(answered) == 1 and figures["not_asked"] == []
    assert [each for each in all_predicted if each["video_name"] != "v_gone"] == predicted
    assert [each["video_name"] for each in all_predicted] == [each["video_name"] for each in GENERIC]


def test_consistency_asks_twice(videos: Path) -> None:
    figures, predicted = ask(CONSISTENCY, videos)
    (one,) = predicted
    assert {k: one.pop(k) for k in CONSISTENCY[0]} == CONSISTENCY[0]
    assert one.keys() == {"pred1", "pred2"} and all(isinstance(each, str) for each in one.values())
    assert (figures["questions"], figures["exported"], figures["predicted"]) == (4, 2, 1)
    assert [each["number"] for each in figures["not_asked"]] == [2, 2]
    assert figures["unusable"] == [{"number": 3, "reason": "`Q2` is None: expected a text"}]


def test_predictions_about_real_videos_are_read_as_the_scripts_do(shared_data: Path, tmp_path: Path) -> None:
    """They number the questions of each video, and take the fields of each without asking."""
    (tmp_path / "videos").mkdir()
    for name, real in (("v_-0r0HEwAYiQ.mp4", "h264_10bits.mp4"), ("v_gone.mp4", "h265_video.mp4")):
        (tmp_path / "videos" / name).symlink_to(shared_data / "videos" / real)
    _, predicted = ask([*GENERIC, *GENERIC], tmp_path / "videos")
    counted: dict[str, int] = {}
    sets = {}
    for each in predicted:
        number = counted[each["video_name"]] = counted.get(each["video_name"], -1) + 1
        sets[f"{each['video_name']}_{number}"] = (each["Q"], each["A"], each["pred"])
    assert len(sets) == len(predicted) == 6


@pytest.mark.slow
def test_what_is_shown_has_no_table_of_accuracy(videos: Path) -> None:
    (videos.parent / "qa.json").write_text(json.dumps(GENERIC))
    line = ["questions", videos.parent / "qa.json", "--videos", videos, "--out", videos.parent / "out"]
    asked = [*map(str, line), "--open-tokens", "2"]
    shown = CliRunner().invoke(app, asked, catch_exceptions=False).stdout
    assert "4 questions: 0 with options, 4 open" in shown and "accuracy" not in shown
    assert "record 2 is not asked: the video 'v_gone' is not in" in shown
    assert "predictions.json: 3 of 4 records, as VCGBench's scripts read them" in shown
    (videos.parent / "qa.json").write_text(json.dumps(CONSISTENCY))
    shown = CliRunner().invoke(app, asked, catch_exceptions=False).stdout
    assert shown.count("record 2 is not asked") == 1 and "record 3 is not usable: `Q2` is None" in shown
    assert "predictions.json: 1 of 3 records" in shown


def test_records_that_lack_a_text_are_named(tmp_path: Path) -> None:
    records = [GENERIC[0], {**GENERIC[0], "A": ""}, {**GENERIC[0], "video_name": 3}, "no record"]
    (tmp_path / "qa.json").write_text(json.dumps(records))
    found = read_questions(tmp_path / "qa.json")
    assert [question.number for question in found.asked] == [1] and found.records == {1: GENERIC[0]}
    assert [(each.number, each.reason) for each in found.unusable] == [
        (2, "`A` is '': expected a text"),
        (3, "`video_name` is 3: expected a text"),
        (4, "is 'no record': expected an object"),
    ]
