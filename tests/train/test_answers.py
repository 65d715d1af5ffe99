from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_language import prompt_settings

from config.load import SettingsError, load_settings
from train.answers.levels import LevelCuts
from train.answers.prompts import PromptBuilder
from train.answers.space import SCORES, AnswerSpace, Fork, parse_level, parse_score
from train.model.llama3_tokenizer import load_llama3_tokenizer


def test_answers_of_one_token_each_need_one_softmax() -> None:
    space = AnswerSpace.of([(1, 2, 10), (1, 2, 11), (1, 2, 12)], end=99)
    assert space == AnswerSpace((1, 2), ((10,), (11,), (12,)))
    assert space.single_token
    assert space.forks == {(): Fork(tokens=(10, 11, 12), tails=(0, 1, 2), choices=(0, 1, 2))}


def test_digits_are_closed_by_the_end_so_that_6_does_not_begin_63() -> None:
    space = AnswerSpace.of([(5, 6), (5, 6, 3), (5, 7)], end=99)
    assert space.lead == (5,)
    assert space.tails == ((6, 99), (6, 3, 99), (7, 99))
    assert space.forks == {(): Fork((6, 7), (0, 1, 2), (0, 0, 1)), (6,): Fork((3, 99), (0, 1), (1, 0))}


@given(st.sets(st.text("0123456789", min_size=1, max_size=4), min_size=2, max_size=30))
def test_no_tail_begins_another(numbers: set[str]) -> None:
    space = AnswerSpace.of([(500, *map(int, number)) for number in sorted(numbers)], end=99)
    tails = set(space.tails)
    assert len(tails) == len(numbers)
    assert not any(tail[:n] in tails for tail in tails for n in range(len(tail)))


def test_llama3_writes_every_score_and_every_level_as_one_token(shared_data: Path) -> None:
    tokenizer = load_llama3_tokenizer(shared_data / "tokenizers" / "llama3")
    prompts = PromptBuilder(tokenizer, prompt_settings())
    scores = AnswerSpace.of([prompts.answer_ids("score", s) for s in SCORES], prompts.chat.end_of_turn)
    assert scores.single_token and len({tail[0] for tail in scores.tails}) == 101
    assert tokenizer.decode([*scores.lead, *scores.tails[63]]) == "The quality score is 63"
    assert tokenizer.convert_tokens_to_ids("<|eot_id|>") == prompts.chat.end_of_turn == 128009


def test_scores_with_decimals_are_read_over_their_whole_numbers(shared_data: Path, root: Path) -> None:
    settings = load_settings(root / "pipelines.toml").prompts["quality-decimals"]
    prompts = PromptBuilder(load_llama3_tokenizer(shared_data / "tokenizers" / "llama3"), settings)
    assert prompts.answer("score", 67.75) == "The quality score is 67.750"
    scores = AnswerSpace.of(prompts.allowed("score"), prompts.chat.end_of_turn)
    assert scores.single_token and len({tail[0] for tail in scores.tails}) == 101
    assert prompts.chat.text([*scores.lead, *scores.tails[67]]) == "The quality score is 67."
    assert prompts.score_values[67] == pytest.approx(67.4995) and prompts.score_values[100] == 100


def test_wordings_come_from_a_json_list_that_the_run_keeps(tmp_path: Path, root: Path) -> None:
    file = tmp_path / "wordings.json"
    file.write_text('["How good is it?", "Rate it."]')
    chosen = f"prompts.quality.score.questions={file}"
    settings = load_settings(root / "pipelines.toml", [chosen]).prompts["quality"]
    assert settings.score.questions == ("How good is it?", "Rate it.")
    assert type(settings).model_validate_json(settings.model_dump_json()) == settings
    file.write_text('{"a": 1}')
    with pytest.raises(SettingsError, match=r"wordings\.json: expected a JSON list of texts"):
        load_settings(root / "pipelines.toml", [chosen])
    file.unlink()
    with pytest.raises(SettingsError, match=r"wordings\.json cannot be read as JSON"):
        load_settings(root / "pipelines.toml", [chosen])


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("The quality score is 63", 63.0),
        ("63.5.", 63.5),
        ("The quality score is 100 .", 100.0),
        ("no number", None),
        ("between 60 and 70", None),
        ("The score is 163", None),
        ("mp4", None),
        ("", None),
    ],
)
def test_a_score_is_read_only_from_an_answer_that_states_one(text: str, score: float | None) -> None:
    assert parse_score(text) == score


@pytest.mark.parametrize(
    ("text", "level"),
    [("The quality level is Good.", "good"), ("poor", "poor"), ("poor or fair", None), ("goodness", None)],
)
def test_a_level_is_read_only_from_an_answer_that_names_one(text: str, level: str | None) -> None:
    assert parse_level(text) == level


def test_level_cuts_divide_the_training_scores_into_equal_parts() -> None:
    cuts = LevelCuts.fit([float(score) for score in range(99)])
    levels = [cuts.level(float(score)) for score in range(99)]
    assert [levels.count(name) for name in ("poor", "fair", "good")] == [33, 33, 33]
    assert cuts.level(0.0) == "poor" and cuts.level(1e9) == "good"
