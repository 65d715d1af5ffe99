"""Scores by five words: the bins and the weighted sums of published code, on its own data and numbers."""

import json
import re
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

from config.load import load_settings
from config.schema import TaskSettings, WordsForm
from train.answers.forms import values
from train.answers.levels import Levels
from train.answers.prompts import PromptBuilder
from train.model.llama3_tokenizer import load_llama3_tokenizer

ROOT = Path(__file__).parents[2]
WORDS = ("bad", "poor", "fair", "good", "excellent")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}<|im_start|>assistant\n"
)


def qwen2(shared_data: Path) -> PreTrainedTokenizerFast:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    file = shared_data / "tokenizers" / "qwen2" / "qwen.tiktoken"
    found = TikTokenConverter(vocab_file=str(file), extra_special_tokens=special).converted()
    return PreTrainedTokenizerFast(tokenizer_object=found, eos_token="<|im_end|>", chat_template=TEMPLATE)


def words_form(**changes: object) -> WordsForm:
    return WordsForm(
        kind="words", words={word: 25 * n for n, word in enumerate(WORDS)}, cut_at="scores", **changes
    )


@pytest.mark.parametrize(
    ("file", "bounds"),
    [
        # The range of all of LIVE-VQC; of KonIQ-10k, 85.36 is above the highest score of its training part.
        ("finevq/livevqc_train_mos1.jsonl", (6.22368, 94.2865)),
        ("q-align/train_koniq.json", (6.68487394958, 85.36)),
    ],
)
def test_published_words_are_those_of_equal_widths_between_their_bounds(
    shared_data: Path, file: str, bounds: tuple[float, float]
) -> None:
    text = (shared_data / "conversations" / file).read_text("utf-8")
    records = json.loads(text) if file.endswith(".json") else [json.loads(line) for line in text.splitlines()]
    scores = [float(each.get("mos") or each["id"].split("->")[1]) for each in records]
    said = [re.findall(r" is (\w+)\.", each["conversations"][1]["value"])[0] for each in records]
    published = Levels.fit(words_form(between=bounds), scores)
    assert [published.level(score) for score in scores] == said
    for other in ("scale", "training"):
        levels = Levels.fit(words_form(between=other), scores)
        assert (
            0.5 < sum(levels.level(s) == word for s, word in zip(scores, said, strict=True)) / len(said) < 1
        )


def test_scores_outside_of_the_bounds_have_the_outermost_words() -> None:
    levels = Levels.fit(words_form(between=(20, 70)), [0.0])
    assert levels.cuts == pytest.approx((30, 40, 50, 60))
    assert [levels.level(score) for score in (0, 20, 30, 30.1, 70, 70.1, 100)] == [
        *["bad"] * 3,
        "poor",
        *["excellent"] * 3,
    ]
    assert Levels.fit(words_form(between="training"), [10, 60, 35]).cuts == pytest.approx((20, 30, 40, 50))
    for wrong in (
        {"between": (70, 20)},
        {"between": (0, 200)},
        {"between": "training", "cuts": (1, 2, 3, 4)},
    ):
        with pytest.raises(ValidationError, match="between"):
            words_form(**wrong)


def tasks() -> dict[str, TaskSettings]:
    found = load_settings(ROOT / "pipelines.toml").tasks
    return {name: found[name] for name in ("rating", "vqa2-level", "vqa2-level-released")}


def test_vqa2s_words_have_its_ids_and_its_sums(shared_data: Path) -> None:
    reference = json.loads((shared_data / "reference" / "vqa2" / "B2_scorer.json").read_text())
    spaces = PromptBuilder(qwen2(shared_data), tasks()).spaces()
    order = ("low", "poor", "fair", "good", "high")
    released = spaces["vqa2-level-released"]
    assert released.single_token and released.lead == ()
    assert [tail[0] for tail in released.tails] == [reference["ids_read_by_the_code"][word] for word in order]
    for row in reference["rows"]:
        p = torch.tensor(row["logits_high_good_fair_poor_low"], dtype=torch.float64).flip(0).softmax(0)
        for task, name in (
            ("vqa2-level-released", "score_scorer_1_.8_.6_.4_.2"),
            ("vqa2-level", "score_app_1_.75_.5_.25_0"),
        ):
            weights = torch.tensor(values(tasks()[task].form), dtype=torch.float64)
            assert float(p @ weights) / 100 == pytest.approx(row[name], abs=1e-12)


def test_words_of_several_tokens_are_told_apart_by_the_trie(shared_data: Path) -> None:
    tokenizer = qwen2(shared_data)
    spaces = PromptBuilder(tokenizer, tasks()).spaces()
    bare = spaces["vqa2-level"]  # "poor" is 5368 and 269
    assert not any(tail == () for tail in bare.tails) and (5368, 269) in {tail[:2] for tail in bare.tails}
    known = {"".join(map(tokenizer.decode, tail)) for tail in bare.tails}
    assert {text.removesuffix("<|im_end|>") for text in known} == {"low", "poor", "fair", "good", "high"}
    assert spaces["rating"].single_token  # within a sentence, each is one token
    llama = PromptBuilder(load_llama3_tokenizer(shared_data / "tokenizers" / "llama3"), tasks()).spaces()
    assert llama["rating"].single_token and len(set(llama["vqa2-level"].tails)) == 5
