import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_language import quality_tasks

from config.load import SettingsError, load_settings
from config.schema import NumberForm, WordsForm
from train.answers.forms import fails, read, values, written
from train.answers.levels import Levels
from train.answers.prompts import PromptBuilder
from train.answers.space import AnswerSpace, Fork
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
    prompts = PromptBuilder(tokenizer, quality_tasks())
    scores = prompts.spaces()["score"]
    assert scores.single_token and len({tail[0] for tail in scores.tails}) == 101
    assert tokenizer.decode([*scores.lead, *scores.tails[63]]) == "The quality score is 63"
    assert tokenizer.convert_tokens_to_ids("<|eot_id|>") == prompts.chat.end_of_turn == 128009


@pytest.mark.slow
def test_scores_with_decimals_are_read_over_their_whole_numbers(shared_data: Path, root: Path) -> None:
    task = load_settings(root / "pipelines.toml").tasks["score-decimals"]
    prompts = PromptBuilder(load_llama3_tokenizer(shared_data / "tokenizers" / "llama3"), {"score": task})
    assert prompts.answer("score", 67.75) == "The quality score is 67.750"
    scores, numbers = prompts.spaces()["score"], values(task.form)
    assert scores.single_token and len({tail[0] for tail in scores.tails}) == 101
    assert prompts.chat.text([*scores.lead, *scores.tails[67]]) == "The quality score is 67."
    assert numbers is not None and numbers[67] == pytest.approx(67.4995) and numbers[100] == 100


def test_wordings_come_from_a_json_list_that_the_run_keeps(tmp_path: Path, root: Path) -> None:
    file = tmp_path / "wordings.json"
    file.write_text('["How good is it?", "Rate it."]')
    chosen = f"tasks.score.questions={file}"
    settings = load_settings(root / "pipelines.toml", [chosen]).tasks["score"]
    assert settings.questions == ("How good is it?", "Rate it.")
    assert type(settings).model_validate_json(settings.model_dump_json()) == settings
    file.write_text('{"a": 1}')
    with pytest.raises(SettingsError, match=r"wordings\.json: expected a JSON list of texts"):
        load_settings(root / "pipelines.toml", [chosen])
    file.unlink()
    with pytest.raises(SettingsError, match=r"wordings\.json cannot be read as JSON"):
        load_settings(root / "pipelines.toml", [chosen])


SCORE = NumberForm(kind="number")
LEVEL = WordsForm(kind="words", words=dict.fromkeys(("poor", "fair", "good")))


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("The quality score is 63", 63.0),
        ("63.5.", 63.5),
        ("The quality score is 100 .", 100.0),
        ("no number", None),
        ("between 60 and 70", None),
        ("The score is 163", None),
        ("-5", None),
        ("60-70", None),
        ("mp4", None),
        ("", None),
    ],
)
def test_a_number_is_read_only_from_an_answer_that_states_one(text: str, score: float | None) -> None:
    assert read(SCORE, text) == score


def test_answers_are_parsed_as_the_authors_parse_them_where_that_is_asked_for(shared_data: Path) -> None:
    file = shared_data / "reference" / "lmm-vqa-released" / "A4_parsing.json"
    if not file.is_file():
        pytest.skip("the authors' numbers (../shared/data/reference) are not on this machine")
    released = NumberForm(kind="number", decimals=3, parse="released")
    answers = json.loads(file.read_text())["direct"]
    assert len(answers) == 35
    for answer in answers:
        assert read(released, answer["answer"]) == answer["as_float"], answer
    assert [fails(released, text) for text in ("67.750", "100.000", "none", "3.5 out of 5.")] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("words", "text", "word"),
    [
        (("poor", "fair", "good"), "The quality level is Good.", "good"),
        (("poor", "fair", "good"), "poor or fair", None),
        (("poor", "fair", "good"), "goodness", None),
        (("A", "B"), "B. A blur it is not: a cut", None),
        (("A", "B"), "The answer is a plain B.", "B"),
        (("blur", "motion blur", "H.264 (x264)"), "It shows motion blur", "motion blur"),
        (("blur", "motion blur", "H.264 (x264)"), "H.264 (x264), of course", "H.264 (x264)"),
    ],
)
def test_a_word_is_read_only_from_an_answer_that_names_one(
    words: tuple[str, ...], text: str, word: str | None
) -> None:
    assert read(WordsForm.model_validate({"kind": "words", "words": words}), text) == word


def test_level_cuts_divide_the_training_scores_into_equal_parts() -> None:
    levels = Levels.fit(LEVEL, [float(score) for score in range(99)])
    found = [levels.level(float(score)) for score in range(99)]
    assert [found.count(name) for name in LEVEL.words] == [33, 33, 33]
    assert levels.level(0.0) == "poor" and levels.level(1e9) == "good"
    widths = LEVEL.model_copy(update={"cut_at": "scores"})
    assert Levels.fit(widths, [1.0]).cuts == pytest.approx((100 / 3, 200 / 3))


def test_levels_are_cut_as_the_authors_cut_them(shared_data: Path, root: Path) -> None:
    file = shared_data / "reference" / "lmm-vqa-released" / "A5_levels_folds.json"
    if not file.is_file():
        pytest.skip("the authors' numbers (../shared/data/reference) are not on this machine")
    reference = json.loads(file.read_text())
    form = load_settings(root / "pipelines.toml").tasks["level-released"].form
    assert isinstance(form, WordsForm)
    levels = Levels.fit(form, reference["scores"])
    assert levels.cuts == pytest.approx((reference["cut33"], reference["cut66"]), abs=1e-9)
    assert [levels.level(score) for score in reference["scores"]] == reference["levels"]
    boundary = reference["boundary"]
    at = Levels(levels.words, tuple(boundary["cuts"]))
    assert [at.level(score) for score in boundary["scores"]] == boundary["levels"]
    decimals = load_settings(root / "pipelines.toml").tasks["score-decimals"].form
    assert [written(decimals, score) for score in reference["scores"]] == reference["score_texts"]
