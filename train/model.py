"""The model: projected visual tokens between the prompt's tokens, answered by a frozen decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from config.schema import Task
from train.answers import LEVELS, SCORES, AnswerSpace
from train.prompts import Prompt, PromptBuilder

Features = Mapping[str, torch.Tensor]
"""Branch name → [K, tokens, features] of one video."""


@dataclass(frozen=True)
class Question:
    """One question about one video of a batch, with the answer that it should get."""

    video: int
    task: Task
    phrasing: int
    value: int | str
    """An integer score in 0–100, or a level."""


class QualityModel(nn.Module):
    """LMM-VQA (arXiv 2408.14008, eq. 6–10): only `projectors`, and LoRA adapters if any, are trained."""

    def __init__(
        self,
        decoder: PreTrainedModel,
        prompts: PromptBuilder,
        projectors: Mapping[str, nn.Module],
        score_sigma: float = 0.0,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.projectors = nn.ModuleDict(projectors)
        self.prompts = prompts
        self.score_sigma = score_sigma
        values: dict[Task, Sequence[int | str]] = {"score": SCORES, "level": LEVELS}
        self.spaces: dict[Task, AnswerSpace] = {
            task: AnswerSpace.of([prompts.answer_ids(task, value) for value in allowed], prompts.end_of_turn)
            for task, allowed in values.items()
        }

    def train(self, mode: bool = True) -> "QualityModel":
        """Training mode for what trains; the frozen decoder stays in evaluation mode."""
        super().train(mode)
        self.decoder.eval()
        for name, module in self.decoder.named_modules():
            if "lora_" in name:
                module.train(mode)
        return self

    def trainable_parameters(self) -> dict[str, int]:
        """Each trainable part's name → its number of parameters."""
        parts = {**self.projectors, "lora": self.decoder}
        counts = {
            name: sum(p.numel() for p in part.parameters() if p.requires_grad) for name, part in parts.items()
        }
        return {name: count for name, count in counts.items() if count}

    def visual_tokens(self, videos: Sequence[Features]) -> list[torch.Tensor]:
        """Each video's tokens [V, width]: the spatial block, then the temporal block (eq. 8)."""
        blocks: list[list[torch.Tensor]] = [[] for _ in videos]
        for branch, projector in self.projectors.items():
            chunks = [video[branch] for video in videos]  # [K, T, D] each
            projected = projector(torch.cat(chunks))  # [ΣK, T', H]
            for block, tokens in zip(blocks, projected.split([len(c) for c in chunks]), strict=True):
                block.append(tokens.flatten(0, 1))
        return [torch.cat(block) for block in blocks]

    def forward(self, videos: Sequence[Features], questions: Sequence[Question]) -> torch.Tensor:
        """Cross-entropy of each question's answer (eq. 10), averaged over its tokens: [questions]."""
        visual = self.visual_tokens(videos)
        answers = [self.prompts.answer_ids(q.task, q.value) for q in questions]
        logits = self._logits(
            [self.prompts.prompt(q.task, q.phrasing) for q in questions],
            [visual[q.video] for q in questions],
            answers,
            keep=max(map(len, answers)) + 1,
        )
        losses = [
            self._answer_loss(row[-len(answer) - 1 :], question, answer)
            for row, question, answer in zip(logits, questions, answers, strict=True)
        ]
        return torch.stack(losses)

    def answer_probabilities(self, visual: Sequence[torch.Tensor], task: Task) -> torch.Tensor:
        """Probability of every allowed answer, [videos, answers]: a product of softmaxes along the trie."""
        space, prompt = self.spaces[task], self.prompts.prompt(task)
        log_p = torch.zeros(len(visual), len(space.tails), device=visual[0].device)
        for node in space.nodes:
            below = [
                i for i, tail in enumerate(space.tails) if tail[: len(node)] == node and len(tail) > len(node)
            ]
            children = torch.tensor([space.tails[i][len(node)] for i in below], device=log_p.device)
            allowed = torch.unique(children)
            logits = self._logits(
                [prompt] * len(visual), visual, [(*space.lead, *node)] * len(visual), keep=1
            )
            at_node = logits[:, -1, allowed].log_softmax(dim=-1)  # [B, children]
            log_p[:, below] += at_node[:, torch.searchsorted(allowed, children)]
        return log_p.exp()

    def generate(self, visual: Sequence[torch.Tensor], task: Task, max_new_tokens: int = 24) -> list[str]:
        """The answer's text by greedy decoding."""
        prompt = self.prompts.prompt(task)
        embeddings, mask = _pad_left([self._embed(prompt, tokens, ()) for tokens in visual])
        greedy: Any = self.decoder.generate
        out = greedy(
            inputs_embeds=embeddings,
            attention_mask=mask,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            eos_token_id=self.prompts.end_of_turn,
            pad_token_id=self.prompts.end_of_turn,
        )
        return [self.prompts.text(ids) for ids in out.tolist()]

    def _embed(self, prompt: Prompt, visual: torch.Tensor, answer: Sequence[int]) -> torch.Tensor:
        table = embedding_table(self.decoder)
        ids = torch.tensor([*prompt.before, *prompt.after, *answer], device=visual.device)
        text = table(ids)  # [L, H]
        cut = len(prompt.before)
        return torch.cat([text[:cut], visual.to(text.dtype), text[cut:]])

    def _logits(
        self,
        prompts: Sequence[Prompt],
        visual: Sequence[torch.Tensor],
        answers: Sequence[Sequence[int]],
        keep: int,
    ) -> torch.Tensor:
        """float32 logits [B, keep, vocabulary] at the last positions alone: all would take gigabytes."""
        sequences = [self._embed(p, v, a) for p, v, a in zip(prompts, visual, answers, strict=True)]
        embeddings, mask = _pad_left(sequences)
        positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
        out = self.decoder(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=positions,
            use_cache=False,
            logits_to_keep=keep,
        )
        return out.logits.float()  # type: ignore[no-any-return]

    def _answer_loss(self, logits: torch.Tensor, question: Question, answer: Sequence[int]) -> torch.Tensor:
        """Mean cross-entropy of an answer and its end of turn; logits [len(answer) + 1, vocabulary]."""
        targets = torch.tensor([*answer, self.prompts.end_of_turn], device=logits.device)
        losses = functional.cross_entropy(logits, targets, reduction="none")
        space = self.spaces["score"]
        if question.task == "score" and self.score_sigma > 0 and space.single_token:
            at = len(space.lead)
            tokens = torch.tensor([tail[0] for tail in space.tails], device=logits.device)
            soft = soft_scores(int(question.value), self.score_sigma).to(logits.device)  # [101]
            losses = losses.clone()
            losses[at] = -(soft * logits[at].log_softmax(dim=-1)[tokens]).sum()
        return losses.mean()


def embedding_table(decoder: PreTrainedModel) -> nn.Embedding:
    """The decoder's token embeddings [vocabulary, width]."""
    table = decoder.get_input_embeddings()
    assert isinstance(table, nn.Embedding), (
        f"{type(decoder).__name__} embeds tokens by {type(table).__name__}"
    )
    return table


def soft_scores(score: int, sigma: float) -> torch.Tensor:
    """A Gaussian of width sigma around the score, over 0–100, that sums to one."""
    distance = torch.arange(101, dtype=torch.float32) - score
    return (-0.5 * (distance / sigma) ** 2).softmax(dim=0)


def _pad_left(sequences: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """[L, H] each → ([B, max L, H], mask [B, max L]); answers end at the same, last, position."""
    longest = max(map(len, sequences))
    padded = [functional.pad(s, (0, 0, longest - len(s), 0)) for s in sequences]
    mask = torch.zeros(len(sequences), longest, dtype=torch.long, device=sequences[0].device)
    for row, sequence in zip(mask, sequences, strict=True):
        row[longest - len(sequence) :] = 1
    return torch.stack(padded), mask
