"""Asking about video files in turns: streamed, about stretches, as without anything that is kept."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_videos import encode
from typer.testing import CliRunner

from config.load import EMBEDDED_MODEL
from evaluate.__main__ import app
from evaluate.chat.conversation import Interview
from evaluate.chat.stretches import stretch_in, videos_in
from evaluate.errors import StretchError, UnknownVideo
from evaluate.scoring.model import load_trained
from evaluate.watching.stretch import Stretch
from evaluate.watching.watcher import Watched, Watcher, items_of
from train.answers.conversation import SLOT, Message
from train.errors import ConversationError
from train.pretrained import TrainedModel

THREE = (
    "What is the quality score of this video?",
    "How good is it between 1 and 2 s?",
    "And what is the level?",
)


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    return load_trained(EMBEDDED_MODEL, "cpu")


def ask(*arguments: str | Path, spoken: str = "", status: int = 0) -> str:
    result = CliRunner().invoke(app, ["ask", *map(str, arguments)], input=spoken, catch_exceptions=False)
    assert result.exit_code == status
    return result.stdout


def test_three_turns_about_two_real_videos_are_those_of_one_turn_at_a_time(
    shared_data: Path, trained: TrainedModel
) -> None:
    files = [shared_data / "videos" / name for name in ("carphone_pristine.mp4", "carphone_distorted.mp4")]
    watcher = Watcher(trained)
    watched = [watcher.watch(file) for file in files]
    interview = Interview(trained, watcher, watched)
    turns = [interview.ask(question, max_new_tokens=12) for question in THREE]
    system = Message("system", next(iter(trained.settings.tasks.values())).system.strip())
    whole = [watcher.medium(each) for each in watched]
    part = [watcher.medium(each, Stretch(1, 2)) for each in watched]
    texts = [
        f"Video 1: {SLOT}\nVideo 2: {SLOT}\n{THREE[0]}",
        f"Video 1: {SLOT}\nVideo 2: {SLOT}\n{THREE[1]}",
        THREE[2],
    ]
    said = [system]
    for text, media, turn in zip(texts, (whole, whole + part, whole + part), turns, strict=True):
        said.append(Message("user", text))
        assert trained.reply(media, said, max_new_tokens=12) == turn.answer
        said.append(Message("assistant", turn.answer))
    assert interview.messages == said
    assert turns[0].answer and turns[1].stretch == Stretch(1, 2)
    assert all(turn.first_token_seconds > 0 for turn in turns)


def test_the_command_streams_what_its_json_has(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", frames=90)
    options = ("-q", THREE[0], "-q", THREE[2], "--max-tokens", "9")
    found: dict[str, Any] = json.loads(ask(clip, *options, "--json"))
    assert [turn["question"] for turn in found["turns"]] == [THREE[0], THREE[2]]
    assert found["videos"][0]["seconds"] == pytest.approx(3, abs=0.1)
    streamed = ask(clip, *options).split()
    expected = [
        w for turn in found["turns"] for w in ("> " + turn["question"] + " " + turn["answer"]).split()
    ]
    assert streamed == expected
    lines = f"{THREE[0]}\nHow is it after 9 s?\n{THREE[2]}\n\nnever asked\n"
    spoken = ask(clip, "--max-tokens", "9", spoken=lines, status=1)
    assert spoken.split() == [w for turn in found["turns"] for w in turn["answer"].split()]


def test_a_question_that_cannot_be_asked_takes_no_other_along(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", frames=60)
    asked = ("Good?", "And at 99 s?", "Why?")
    options = [option for question in asked for option in ("-q", question)]
    turns = json.loads(ask(clip, *options, "--max-tokens", "3", "--json", status=1))["turns"]
    assert [turn["question"] for turn in turns] == [*asked]
    assert [turn["answer"] is None for turn in turns] == [False, True, False]
    refusal = f"{clip} is 2.0 s long: it has no stretch from 99 to 100 s"
    assert [turn["error"] for turn in turns] == [None, refusal, None]
    plain = ask(clip, *options, "--max-tokens", "3", status=1).split()
    answers = [f"> {turn['question']} {turn['answer'] or ''}" for turn in turns]
    assert plain == [word for answer in answers for word in answer.split()]
    spoken = ask(clip, "--max-tokens", "3", "--json", spoken="\n".join(asked), status=1)
    assert [turn["error"] for turn in json.loads(spoken)["turns"]] == [None, refusal, None]


def test_what_was_understood_is_said(tmp_path: Path) -> None:
    clips = [encode(tmp_path / f"{n}.mp4", frames=60 + 30 * n) for n in range(2)]
    questions = ("-q", "Why?", "-q", "How is it between 1 and 200 s?", "-q", "At 0:01 of video 2?")
    command = ["ask", *map(str, clips), *questions, "--max-tokens", "3"]
    plain = CliRunner().invoke(app, command, catch_exceptions=False)
    said = [line for line in plain.stdout.splitlines() if line.startswith("(")]
    assert said == ["(about 1.0–2.0 s of video 1, 1.0–3.0 s of video 2)", "(about 1.0–2.0 s of video 2)"]
    assert plain.stderr.splitlines()[-2:] == [
        f"{clips[0]} is 2.0 s long: what was asked is cut to 1.0–2.0 s",
        f"{clips[1]} is 3.0 s long: what was asked is cut to 1.0–3.0 s",
    ]
    spoken = ask(clips[0], "--max-tokens", "3", spoken="At 1 s?\n")
    assert spoken.startswith("(about 1.0–2.0 s)\n")
    quiet = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False)
    assert "cut to 1.0–3.0 s" in quiet.stderr
    about = [turn["about"] for turn in json.loads(quiet.stdout)["turns"]]
    assert [
        [(part["video"], part["begin"], part["end"], part["cut"]) for part in parts] for parts in about
    ] == [
        [],
        [(1, 1, pytest.approx(2), True), (2, 1, pytest.approx(3), True)],
        [(2, 1, 2, False)],
    ]


def test_seconds_are_those_that_are_asked_for(trained: TrainedModel, tmp_path: Path) -> None:
    watcher = Watcher(trained)
    watched = watcher.watch(encode(tmp_path / "clip.mp4", frames=150))
    ((encoder, streams),) = watched.features.items()
    block = streams["features"]
    assert len(block) == 5, encoder
    medium = watcher.medium(watched, Stretch(1, 3))
    assert torch.equal(medium["quality"][0, 0], block[1:3].float().mean(dim=0)[0])
    with pytest.raises(StretchError, match=r"is 5\.0 s long: it has no stretch from 9 to 12 s"):
        watcher.medium(watched, Stretch(9, 12))
    one = Watched(watched.video, 5.0, {encoder: {name: items[:1] for name, items in streams.items()}})
    with pytest.raises(StretchError, match="sees a video as a whole"):
        watcher.medium(one, Stretch(1, 3))


@pytest.mark.parametrize(
    ("stretch", "step", "items", "seconds", "expected"),
    [
        (Stretch(3, 5), 1, 8, 8.0, range(3, 5)),
        (Stretch(0, 1), 1, 8, 7.8, range(1)),  # the last part of a second has an item
        (Stretch(6, 7), 1, 8, 7.8, range(6, 7)),
        (Stretch(7, 8), 1, 8, 7.8, range(7, 8)),
        (Stretch(3, 5), 1, 8, 8.9, range(3, 5)),  # the last part of a second has none
        (Stretch(8.5, None), 1, 8, 8.9, range(7, 8)),
        (Stretch(0, 1), 2, 4, 7.8, range(1)),
        (Stretch(1, 2), 2, 4, 7.8, range(1)),
        (Stretch(2, 3), 2, 4, 7.8, range(1, 2)),
        (Stretch(3, 7), 2, 4, 7.8, range(2, 4)),
        (Stretch(7, 7.8), 2, 3, 7.8, range(2, 3)),
        (Stretch(1, 2), 2, 1, 3.9, range(1)),
        (Stretch(3, 5), 1 / 30, 240, 8.0, range(90, 150)),  # an item for each frame
        (Stretch(3, 4), 1 / 29.97, 234, 7.8, range(90, 120)),
        (Stretch(7, None), 1 / 30, 230, 7.8, range(210, 230)),
        (Stretch(3.01, 3.02), 1 / 30, 240, 8.0, range(90, 91)),
        (Stretch(0, 0.00001), 1, 8, 8.0, range(1)),
        (Stretch(0.2, 0.4), 1, 8, 8.0, range(1)),
        (Stretch(2, None, from_end=True), 1, 8, 8.0, range(6, 8)),
        (Stretch(1, 2), 1, 1, 5.0, range(0)),  # one for the whole video
    ],
)
def test_items_of_a_stretch(
    stretch: Stretch, step: float, items: int, seconds: float, expected: range
) -> None:
    assert items_of(*stretch.within(seconds), step, items, seconds) == expected


@pytest.mark.parametrize(
    ("specification", "items", "expected"),
    [
        ({"chunk_seconds": "1"}, 8, [[0], [1], [2], [3], [4], [5], [6]]),  # and what is left of a second
        ({"chunk_seconds": "2"}, 4, [[0], [0], [1], [1], [2], [2], [3]]),
        ({"chunk_seconds": "1/2"}, 16, [[n, n + 1] for n in range(0, 14, 2)]),
        ({"frames": {"rule": "all"}}, 78, [[*range(n, n + 10)] for n in range(0, 70, 10)]),
    ],
)
def test_a_second_is_shown_the_items_that_begin_in_it(
    trained: TrainedModel, specification: dict[str, Any], items: int, expected: list[list[int]]
) -> None:
    watcher = Watcher(trained)
    ((encoder, own),) = watcher._encoders.items()
    watcher._specifications[encoder] = specification
    streams = {
        n: torch.arange(float(items)).reshape(-1, 1, 1).expand(-1, *s.shape) for n, s in own.streams.items()
    }
    watched = Watched(Path("a.mp4"), 7.8, {encoder: streams}, fps=10)
    for second, numbers in enumerate(expected):
        shown = watcher.medium(watched, Stretch(second, second + 1))["quality"]
        assert torch.equal(shown.unique(), torch.tensor([sum(numbers) / len(numbers)])), second


def test_what_an_encoder_says_of_the_whole_video_is_shown_beside_seconds(trained: TrainedModel) -> None:
    watcher = Watcher(trained)
    ((encoder, own),) = watcher._encoders.items()
    streams = {n: torch.arange(5.0).reshape(-1, 1, 1).expand(-1, *s.shape) for n, s in own.streams.items()}
    streams["still"] = streams["still"][4:]
    medium = watcher.medium(Watched(Path("a.mp4"), 5.0, {encoder: streams}), Stretch(1, 3))
    assert medium["stillness"].unique().tolist() == [4] and medium["quality"].unique().tolist() == [1.5]


@pytest.mark.parametrize(
    ("question", "stretch"),
    [
        ("What happens between 3 and 5 s?", Stretch(3, 5)),
        ("Is it blurred from 3 s to 5.5 seconds?", Stretch(3, 5.5)),
        ("Look at 3–5 s.", Stretch(3, 5)),
        ("And 0:03-1:05?", Stretch(3, 65)),
        ("What about seconds 3 to 5?", Stretch(3, 5)),
        ("The first 2 seconds?", Stretch(0, 2)),
        ("How are the last 2 s?", Stretch(2, None, from_end=True)),
        ("What happens after 4 s?", Stretch(4, None)),
        ("And before 0:04?", Stretch(0, 4)),
        ("Is there a stall at 4 s?", Stretch(4, 5)),
        ("What is wrong in second 4?", Stretch(4, 5)),
        ("Is it a video of 5 seconds?", None),
        ("Is the second video between 3 and 5 years old?", None),
        ("Is the first one better?", None),
        ("What is wrong at 1:02:03?", Stretch(3723, 3724)),
        ("And between 1:00:00 and 1:00:05?", Stretch(3600, 3605)),
        ("Between 00:00:03 and 00:00:05, is it sharp?", Stretch(3, 5)),
        ("Is it blurred between 3,5 and 4 s?", Stretch(3.5, 4)),
        ("Between 1,000 and 1,200 s?", Stretch(1000, 1200)),
        ("From .5 to 1 s?", Stretch(0.5, 1)),
        ("Between three and five seconds?", Stretch(3, 5)),
        ("Between 1 and 2 minutes?", Stretch(60, 120)),
        ("Between 30 s and 1 min?", Stretch(30, 60)),
        ("From 0:30 to 40 s?", Stretch(30, 40)),
        ("Between the 3 s and the 5 s mark?", Stretch(3, 5)),
        ("What of second 2 to second 4?", Stretch(2, 4)),
        ("How are the first two seconds?", Stretch(0, 2)),
        ("How are the first 2 minutes?", Stretch(0, 120)),
        ("Does the first second differ?", Stretch(0, 1)),
        ("Is the last second frozen?", Stretch(1, None, from_end=True)),
        ("What of the last minute?", Stretch(60, None, from_end=True)),
        ("What happens after the first 2 seconds?", Stretch(2, None)),
        ("From 4 s on?", Stretch(4, None)),
        ("Is it sharp until 4 s?", Stretch(0, 4)),
        ("At 1 minute and 30 seconds?", Stretch(90, 91)),
        ("Does the aspect ratio change at 0:04?", Stretch(4, 5)),
        ("Is the aspect ratio around 16:10?", None),
        ("Was it filmed at 10:30 am?", None),
        ("Is the time code at 00:00:03:12?", None),
        ("Does the stall last 2 seconds?", None),
        ("Is it around 5 seconds long?", None),
        ("Is it around 1 minute 30 seconds long?", None),
        ("Is it blurred from twenty-two to five seconds?", None),
        ("Is it before the last 2 seconds?", None),
    ],
)
def test_stretches_that_questions_name(question: str, stretch: Stretch | None) -> None:
    assert stretch_in(question) == stretch


def clock(seconds: int) -> str:
    """As players show it."""
    minutes, left = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 20_000), st.integers(1, 20_000))
def test_times_in_usual_forms_are_read_back(begin: int, length: int) -> None:
    end = begin + length
    tenth = begin + 0.5
    written = {
        f"between {begin} and {end} s": Stretch(begin, end),
        f"from {tenth} s to {end} seconds": Stretch(tenth, end),
        f"between {begin},5 and {end} s": Stretch(tenth, end),
        f"{begin:,}–{end:,} s": Stretch(begin, end),
        f"from {clock(begin)} to {clock(end)}": Stretch(begin, end),
        f"between {clock(begin)}.5 and {clock(end)}": Stretch(tenth, end),
        f"the first {length} seconds": Stretch(0, length),
        f"the last {length} minutes": Stretch(60 * length, None, from_end=True),
        f"at {clock(begin)}": Stretch(begin, begin + 1),
        f"around {begin // 60} min {begin % 60} s": Stretch(begin, begin + 1),
        f"in second {begin}": Stretch(begin, begin + 1),
        f"after {clock(begin)}": Stretch(begin, None),
        f"before {clock(end)}": Stretch(0, end),
    }
    for text, stretch in written.items():
        assert stretch_in(f"Is it sharp {text}?") == stretch, text


def test_a_stretch_of_the_second_video_shows_that_one(trained: TrainedModel, tmp_path: Path) -> None:
    assert videos_in("between 1 and 2 s of the second video", 3) == [1]
    assert videos_in("Is video 3 better than video 1?", 3) == [0, 2]
    assert videos_in("Is this video 10 seconds long?", 3) == [0, 1, 2]
    with pytest.raises(UnknownVideo, match="video 7: there are 3 videos"):
        videos_in("video 7", 3)
    with pytest.raises(UnknownVideo, match="video 2: there is 1 video"):
        videos_in("the second video", 1)
    watcher = Watcher(trained)
    watched = [watcher.watch(encode(tmp_path / f"{n}.mp4", frames=60 + 30 * n)) for n in range(2)]
    interview = Interview(trained, watcher, watched, system="Be brief.")
    interview.ask("How is the second video between 1 and 2 s?", max_new_tokens=3)
    assert interview.messages[0].text == "Be brief."
    assert interview.messages[1].text == f"Video 2: {SLOT}\nHow is the second video between 1 and 2 s?"
    interview.ask("And as a whole?", max_new_tokens=3)
    assert interview.messages[3].text == f"Video 1: {SLOT}\nVideo 2: {SLOT}\nAnd as a whole?"
    before = list(interview.messages)
    with pytest.raises(ConversationError):
        interview.ask(f"What is {SLOT}?", max_new_tokens=3)
    with pytest.raises(StretchError):
        interview.ask("And at 7 s?", max_new_tokens=3)
    assert interview.messages == before
    interview.ask("Why?", max_new_tokens=3)
