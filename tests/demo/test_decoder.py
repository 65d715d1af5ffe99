"""The embedded decoder: its tokenizer, its text, that it is made alike, and the one that is shipped."""

import json
import random
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from typer.testing import CliRunner

from config.load import load_settings
from demo.__main__ import app
from demo.decoder import DecoderFolderError, build_decoder, task_texts
from demo.decoder_readout import readout
from demo.decoder_text import (
    ANSWERS,
    HELD_OUT_QUESTIONS,
    LEVELS,
    TASKS,
    Conversation,
    conversations,
    corpus_texts,
    level_of,
)
from demo.decoder_tokenizer import build_tokenizer, conversation, words_of
from demo.decoder_training import DecoderRecipe, level_target, score_target, train_decoder
from train.answers.prompts import PromptBuilder

FEW_STEPS = DecoderRecipe(steps=3)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer(corpus_texts())


@pytest.fixture(scope="module")
def sample() -> list[Conversation]:
    return list(islice(conversations(0), 2000))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "decoder"
    build_decoder(folder, FEW_STEPS, progress=False)
    return folder


@pytest.fixture(scope="module")
def shipped(root: Path) -> Path:
    return Path(load_settings(root / "pipelines.toml").pipelines["tiny"].decoder.weights)


def test_every_score_and_level_is_one_token(tokenizer: PreTrainedTokenizerFast) -> None:
    values = [*map(str, range(101)), *LEVELS]
    ids = [tokenizer(value, add_special_tokens=False)["input_ids"] for value in values]
    assert all(len(row) == 1 for row in ids)
    assert len({row[0] for row in ids} - {tokenizer.unk_token_id}) == len(values)


def test_answers_differ_in_one_token_after_a_common_lead(
    root: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    tasks = load_settings(root / "pipelines.toml").tasks
    spaces = PromptBuilder(tokenizer, {name: tasks[name] for name in TASKS}).spaces()
    assert [len(space.tails) for space in spaces.values()] == [101, 3]
    for space in spaces.values():
        assert space.single_token
        assert len(space.lead) == 4


def test_no_word_of_the_configured_tasks_is_unknown(root: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    settings = load_settings(root / "pipelines.toml")
    for name in settings.pipelines["tiny"].tasks:
        builder = PromptBuilder(tokenizer, {name: settings.tasks[name]})
        for phrasing in range(builder.phrasings(name)):
            prompt = builder.prompt(name, phrasing)
            assert tokenizer.unk_token_id not in (*prompt.before, *prompt.after), f"{name}: {phrasing}"


def test_words_of_given_texts_enter_the_vocabulary() -> None:
    tokenizer = build_tokenizer([*corpus_texts(), "Bewerte dieses Video, bitte."])
    ids = tokenizer("Bewerte dieses Video, bitte.", add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids) == "Bewerte dieses Video, bitte."


def test_unknown_words_become_one_unknown_token(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tokenizer("xylophone", add_special_tokens=False)["input_ids"]
    assert ids == [tokenizer.unk_token_id]


def test_chat_template_gives_the_frame_that_was_trained(tokenizer: PreTrainedTokenizerFast) -> None:
    roles = ("system", "user", "assistant")
    contents = ("You are an expert.", "61 66 58 How good is it?", "The quality score is 62")
    messages = [{"role": role, "content": text} for role, text in zip(roles, contents, strict=True)]
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    asked = tokenizer.apply_chat_template(messages[:2], tokenize=False, add_generation_prompt=True)
    assert whole == conversation(*contents)
    assert asked == conversation(*contents[:2])
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(whole, add_special_tokens=False)["input_ids"])
    assert tokens[:2] == ["<bos>", "<|system|>"]
    assert tokens[-7:] == ["<|assistant|>", "The", "quality", "score", "is", "62", "<eos>"]


def test_text_survives_encoding_and_decoding(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "Answer with poor, fair or good."
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_corpus_is_in_the_vocabulary(tokenizer: PreTrainedTokenizerFast, sample: list[Conversation]) -> None:
    known = set(tokenizer.get_vocab())
    for item in [*sample, *islice(conversations(0, held_out=True), 200)]:
        assert set(words_of(f"{item.system} {item.user}")) <= known


def test_corpus_repeats_for_a_seed_and_differs_between_seeds(sample: list[Conversation]) -> None:
    random.random()
    assert list(islice(conversations(0), 2000)) == sample
    assert list(islice(conversations(1), 2000)) != sample


def test_training_never_asks_the_held_out_questions(sample: list[Conversation]) -> None:
    held_out = [question for task in TASKS for question in HELD_OUT_QUESTIONS[task]]
    assert not any(question in item.request for item in sample for question in held_out)
    asked = islice(conversations(0, held_out=True), 100)
    assert all(any(question in item.request for question in held_out) for item in asked)


def test_numbers_of_the_evidence_decide_the_quality(sample: list[Conversation]) -> None:
    plain = [item for item in sample if item.values and item.evidence.replace(" ", "").isdigit()]
    assert len(plain) > 200
    for item in plain:
        stated = [int(word) for word in item.evidence.split()]
        assert item.quality == pytest.approx(sum(stated) / len(stated))


def test_the_same_request_is_answered_over_the_whole_scale(sample: list[Conversation]) -> None:
    """An answer that the request alone gave away would teach the decoder to ignore the visual tokens."""
    by_task = {
        task: [i.quality for i in sample if i.task == task and i.quality is not None] for task in TASKS
    }
    for qualities in by_task.values():
        shares = [sum(level_of(q) == level for q in qualities) / len(qualities) for level in LEVELS]
        assert min(shares) > 0.2
        assert min(qualities) < 10 and max(qualities) > 90


@hypothesis_settings(max_examples=50, deadline=None)
@given(quality=st.floats(0, 100), sigma=st.floats(0.5, 40))
def test_targets_are_distributions_around_the_quality(quality: float, sigma: float) -> None:
    scores, levels = score_target(quality, sigma), level_target(quality, sigma)
    assert float(scores.sum()) == pytest.approx(1, abs=1e-5)
    assert float(levels.sum()) == pytest.approx(1, abs=1e-5)
    assert abs(int(scores.argmax()) - quality) <= 0.5 + 1e-3
    assert float(levels.min()) >= 0


def test_folder_loads_as_an_ordinary_hugging_face_model(decoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(decoder)
    model = AutoModelForCausalLM.from_pretrained(decoder)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in decoder.iterdir()}
    assert model.config.model_type == "llama"
    text = conversation("", "61 66 58 What is the quality score of the video?", ANSWERS["score"])
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    assert model(ids).logits.shape == (1, ids.shape[1], len(tokenizer))
    assert tokenizer.decode([model.config.eos_token_id]) == "<eos>"


@pytest.mark.slow
def test_two_builds_give_the_same_weights(decoder: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)
    build_decoder(tmp_path / "again", FEW_STEPS, progress=False)
    again = tmp_path / "again" / "model.safetensors"
    assert again.read_bytes() == (decoder / "model.safetensors").read_bytes()


def test_training_depends_on_its_seed_and_leaves_threads_and_random_state_alone(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    first, second = (
        train_decoder(tokenizer, DecoderRecipe(steps=1, seed=seed), progress=False).lm_head.weight
        for seed in (0, 1)
    )
    assert not torch.equal(first, second)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_a_folder_that_holds_something_is_not_replaced(decoder: Path, tmp_path: Path) -> None:
    (tmp_path / "chapter.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(DecoderFolderError, match=tmp_path.name):
        build_decoder(tmp_path, FEW_STEPS, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["chapter.txt"]
    with pytest.raises(DecoderFolderError, match="a new or an empty folder"):
        build_decoder(decoder, FEW_STEPS, progress=False)


def test_the_command_builds_a_decoder_with_a_card_and_says_how_to_use_it(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    options = ["--steps", "2", "--seed", "5", "--quiet", "--config", str(root / "pipelines.toml")]
    said = CliRunner().invoke(app, ["decoder", str(folder), *options], catch_exceptions=False).stdout
    assert f"--set pipelines.tiny.decoder.weights={folder}" in said
    summary = json.loads((folder / "decoder.json").read_text(encoding="utf-8"))
    assert summary["recipe"] == asdict(DecoderRecipe(steps=2, seed=5))
    card = (folder / "README.md").read_text(encoding="utf-8")
    for expected in ("license: apache-2.0", "--steps 2 --seed 5", summary["versions"]["torch"]):
        assert expected in card


def test_the_shipped_decoder_is_small_and_what_the_command_builds(root: Path, shipped: Path) -> None:
    assert shipped == root / "models" / "embedded" / "decoder"
    assert sum(path.stat().st_size for path in shipped.iterdir()) < 1_000_000
    summary = json.loads((shipped / "decoder.json").read_text(encoding="utf-8"))
    assert summary["recipe"] == asdict(DecoderRecipe())
    settings = load_settings(root / "pipelines.toml")
    texts = task_texts(settings.tasks[name] for name in settings.pipelines["tiny"].tasks)
    assert summary["texts"] == sorted(set(texts))
    built, found = build_tokenizer([*corpus_texts(), *texts]), AutoTokenizer.from_pretrained(shipped)
    assert found.get_vocab() == built.get_vocab() and found.chat_template == built.chat_template


def test_the_shipped_decoder_reads_as_its_card_says(shipped: Path) -> None:
    stated = json.loads((shipped / "decoder.json").read_text(encoding="utf-8"))["readout"]
    model = AutoModelForCausalLM.from_pretrained(shipped).eval()
    found = readout(model, AutoTokenizer.from_pretrained(shipped), prompts=stated["prompts"])
    assert found == pytest.approx(stated, abs=0.02)
    assert stated["expected_srcc"] > 0.98 and stated["parse_failures"] == 0
