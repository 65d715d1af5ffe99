"""Train the embedded decoder on text alone: what follows from the evidence, in the answer's form."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from demo.decoder_text import ANSWERS, LEVEL_CUTS, LEVELS, Conversation, conversations, level_of
from demo.decoder_tokenizer import conversation

_AFTER_VALUE = 2
"""Tokens of an answer from its value on: the value and `<eos>`."""
ANSWER_TOKENS = 6
"""`The quality score is 63 <eos>`, and the same for levels."""


@dataclass(frozen=True)
class DecoderRecipe:
    """Everything that shapes the weights, beside the text and the library versions."""

    steps: int = 1500
    batch_size: int = 32
    learning_rate: float = 2e-3
    """Highest; linear warm-up, then a cosine to zero."""
    warmup_steps: int = 50
    score_sigma: float = 3.0
    """Least width, in points of 0–100, of the Gaussian that a score's target is softened by."""
    spread_weight: float = 1.0
    """How much the disagreement in the evidence widens the target."""
    embedding_noise: float = 1.5
    """Noise on every embedding, in units of the embeddings' standard deviation. Visual tokens are no words:
    a decoder that has only ever read exact words fits human scores less well."""
    hidden_size: int = 64
    intermediate_size: int = 256
    layers: int = 2
    heads: int = 4
    max_positions: int = 16384
    seed: int = 0


def train_decoder(
    tokenizer: PreTrainedTokenizerFast, recipe: DecoderRecipe, *, progress: bool = True
) -> LlamaForCausalLM:
    """A Llama that answers the conversations of `decoder_text`, in evaluation mode.

    Only the answers are learnt (cross entropy); at the answer's value the target is a distribution over
    the scores, or levels, softened as the recipe says. One thread: at this size two contend.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            return _train(tokenizer, recipe, progress)
    finally:
        torch.set_num_threads(threads)


def _train(tokenizer: PreTrainedTokenizerFast, recipe: DecoderRecipe, progress: bool) -> LlamaForCausalLM:
    model = LlamaForCausalLM(_config(tokenizer, recipe))
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, recipe))
    words = _Vocabulary(tokenizer)
    stream = conversations(recipe.seed)
    with tqdm(range(recipe.steps), desc="decoder", unit="step", disable=not progress) as bar:
        for step in bar:
            batch = list(islice(stream, recipe.batch_size))
            loss = _answer_loss(model, tokenizer, words, batch, recipe)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            if step % 50 == 0:
                bar.set_postfix(loss=f"{loss.item():.3f}")
    model.train(False)
    return model


def _config(tokenizer: PreTrainedTokenizerFast, recipe: DecoderRecipe) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        max_position_embeddings=recipe.max_positions,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )


def _rate(step: int, recipe: DecoderRecipe) -> float:
    warm = min(1.0, (step + 1) / recipe.warmup_steps)
    return warm * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))


class _Vocabulary:
    """The tokens that matter by themselves, and target distributions over the values of an answer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        vocabulary = tokenizer.get_vocab()
        self.size = len(vocabulary)
        self.scores = [vocabulary[str(score)] for score in range(101)]
        self.levels = [vocabulary[level] for level in LEVELS]

    def targets(self, batch: Sequence[Conversation], recipe: DecoderRecipe) -> torch.Tensor:
        """Float32 [batch, vocabulary], each row a distribution; uniform where there is no evidence."""
        rows = torch.zeros(len(batch), self.size)  # [B, V]
        for row, item in zip(rows, batch, strict=True):
            sigma = math.hypot(recipe.score_sigma, recipe.spread_weight * item.spread)
            if item.task == "score":
                row[self.scores] = score_target(item.quality, sigma)
            else:
                row[self.levels] = level_target(item.quality, sigma)
        return rows


def score_target(quality: float | None, sigma: float) -> torch.Tensor:
    """[101]: a Gaussian around the quality, cut to 0–100 and normalised; uniform for None."""
    if quality is None:
        return torch.full((101,), 1 / 101)
    return torch.softmax(-0.5 * ((torch.arange(101) - quality) / sigma) ** 2, dim=0)


def level_target(quality: float | None, sigma: float) -> torch.Tensor:
    """[3]: how much of the Gaussian around the quality lies in each level; uniform for None."""
    if quality is None:
        return torch.full((len(LEVELS),), 1 / len(LEVELS))
    below = torch.tensor(
        [0.5 * (1 + math.erf((cut - quality) / (sigma * math.sqrt(2)))) for cut in LEVEL_CUTS]
    )
    return torch.diff(below, prepend=torch.zeros(1), append=torch.ones(1))


def _answer_loss(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    words: _Vocabulary,
    batch: Sequence[Conversation],
    recipe: DecoderRecipe,
) -> torch.Tensor:
    texts = [conversation(item.system, item.user, _answer(item)) for item in batch]
    encoded = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
    ids, mask = encoded["input_ids"], encoded["attention_mask"]  # [B, L]
    answer = mask.sum(1, keepdim=True) - ANSWER_TOKENS + torch.arange(ANSWER_TOKENS)  # [B, 6]
    embedded = model.get_input_embeddings()(ids)  # [B, L, H]
    noise = recipe.embedding_noise * embedded.detach().std() * torch.randn_like(embedded)
    hidden = model.model(inputs_embeds=embedded + noise, attention_mask=mask).last_hidden_state  # [B, L, H]
    rows = torch.arange(len(batch))[:, None]
    logits = model.lm_head(hidden[rows, answer - 1]).log_softmax(-1)  # [B, 6, V]
    targets = nn.functional.one_hot(ids[rows, answer], words.size).float()  # [B, 6, V]
    targets[:, -_AFTER_VALUE] = words.targets(batch, recipe)
    loss: torch.Tensor = -(targets * logits).sum((1, 2)).mean()
    return loss


def _answer(item: Conversation) -> str:
    quality = 50.0 if item.quality is None else item.quality
    return ANSWERS[item.task].format(score=round(quality), level=level_of(quality))
