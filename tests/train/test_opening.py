"""What stands before a free question: the media in the wording that a run was trained on."""

import tomllib
from pathlib import Path

import pytest

from config.load import SettingsError, load_settings
from config.schema import RunSettings
from train.answers.conversation import SLOT
from train.inference.opening import Opening

ROOT = Path(__file__).parents[2]


def settings_of(pipeline: str, *overrides: str) -> RunSettings:
    settings = load_settings(ROOT / "pipelines.toml", overrides)
    chosen = settings.pipelines[pipeline]
    return settings.run(chosen, settings.datasets[chosen.dataset])


def test_a_run_on_scores_is_asked_behind_one_slot_a_video_and_its_tasks_system_prompt() -> None:
    settings = settings_of("lmm-vqa-multitask")
    opening = Opening.of(settings)
    assert opening.text("Is it sharp?", 1) == f"{SLOT} Is it sharp?" and opening.slots == (None,)
    assert opening.text("Alike?", 2) == f"Video 1: {SLOT}\nVideo 2: {SLOT}\nAlike?"
    assert opening.text("And it?", 3, [1]) == f"Video 2: {SLOT}\nAnd it?"
    first = settings.tasks[settings.pipeline.tasks[0]]
    assert [message.text for message in opening.messages] == [first.system.strip()]
    assert [each.text for each in Opening.of(settings, "Be brief.").messages] == ["Be brief."]


def test_vqa2_is_asked_as_its_conversations_show_a_video() -> None:
    shown = tomllib.loads((ROOT / "distort" / "questions.toml").read_text())["media"]
    opening = Opening.of(settings_of("vqa2-stage1"))
    assert opening.text("What?", 1) == shown["one"].replace("<image>", SLOT) + "What?"
    assert opening.text("Which?", 2) == shown["two"].replace("<image>", SLOT) + "Which?"
    assert opening.slots == (("key_frames",), ("motion",)) and opening.messages == []
    released = Opening.of(settings_of("vqa2-assistant-released"))
    assert released.slots == (("key_frames", "motion"), ("motion",))
    assert [message.text for message in released.messages] == ["You are a helpful assistant."]


def test_tokens_that_are_not_divided_stand_in_the_first_slot() -> None:
    opening = Opening.of(settings_of("vqa2-stage1", "pipelines.vqa2-stage1.token_order=interleaved"))
    assert opening.slots == (None,) and opening.text("", 1).count(SLOT) == 1
    assert "<image>" not in opening.text("", 2)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("No video. ", "expected <image> where the video stands"),
        ("{name}: <image>", "number and ordinal"),
        ("{: <image>", "number and ordinal"),
        (
            "Video {number}: <image>",
            "<image> 2 times, prompt.several 1 times: expected as many",
        ),
    ],
)
def test_a_wording_that_shows_no_video_is_refused(template: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings_of("vqa2-stage1", f"pipelines.vqa2-stage1.prompt.several={template!r}")
