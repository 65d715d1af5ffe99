"""How well the embedded decoder reads conversations whose questions training never asked."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from statistics import fmean
from typing import Any

import torch
from scipy.stats import spearmanr
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from config.schema import NumberForm, WordsForm
from demo.decoder_text import ANSWERS, LEVELS, Conversation, conversations, level_of
from demo.decoder_tokenizer import conversation
from demo.decoder_training import ANSWER_TOKENS
from train.answers.forms import read


def readout(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, *, prompts: int = 400, seed: int = 0
) -> dict[str, Any]:
    """Figures of merit on fresh evidence and held-out phrasings.

    `expected_srcc` and `generate_srcc` are Spearman correlations with the quality that the evidence
    states; `parse_failures` counts generated answers that state no score or level.
    """
    asked = list(islice(conversations(seed, held_out=True), prompts))
    texts = _generated(model, tokenizer, asked)
    scored = [(item, text) for item, text in zip(asked, texts, strict=True) if item.task == "score"]
    levelled = [(item, text) for item, text in zip(asked, texts, strict=True) if item.task == "level"]
    quality = [fmean(item.values) for item, _ in scored]
    parsed = [read(NumberForm(kind="number"), text) for _, text in scored]
    named = [read(WordsForm(kind="words", words=dict.fromkeys(LEVELS)), text) for _, text in levelled]
    right = [name == level_of(fmean(item.values)) for name, (item, _) in zip(named, levelled, strict=True)]
    return {
        "prompts": prompts,
        "expected_srcc": _srcc(_expected(model, tokenizer, [item for item, _ in scored]), quality),
        "generate_srcc": _srcc([50.0 if score is None else float(score) for score in parsed], quality),
        "level_accuracy": fmean(right),
        "parse_failures": parsed.count(None) + named.count(None),
    }


def _srcc(found: Sequence[float], stated: Sequence[float]) -> float:
    constant = min(found) == max(found)
    return math.nan if constant else float(spearmanr(found, stated).statistic)


@torch.inference_mode()
def _expected(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, asked: Sequence[Conversation]
) -> list[float]:
    lead = ANSWERS["score"].format(score="").strip()
    texts = [f"{conversation(item.system, item.user)} {lead}" for item in asked]
    logits = torch.cat([model(**batch).logits[:, -1] for batch in _batches(tokenizer, texts)])  # [N, V]
    scores = tokenizer.convert_tokens_to_ids([str(score) for score in range(101)])
    probabilities = logits[:, scores].softmax(-1)  # [N, 101]
    return [float(value) for value in probabilities @ torch.arange(101.0)]


@torch.inference_mode()
def _generated(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, asked: Sequence[Conversation]
) -> list[str]:
    answers: list[str] = []
    for batch in _batches(tokenizer, [conversation(item.system, item.user) for item in asked]):
        ids = model.generate(**batch, max_new_tokens=ANSWER_TOKENS + 2, do_sample=False)  # type: ignore[misc]  # [B, L + new]
        new = ids[:, batch["input_ids"].shape[1] :]
        answers += tokenizer.batch_decode(new, skip_special_tokens=True)
    return answers


def _batches(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], size: int = 64) -> Iterator[Any]:
    for start in range(0, len(texts), size):
        yield tokenizer(
            list(texts[start : start + size]),
            add_special_tokens=False,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        )
