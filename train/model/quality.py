"""The model: projected visual tokens between the prompt's tokens, answered by a frozen decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from config.schema import StepSettings, TargetSettings, Task
from train.answers.loss import AnswerLoss
from train.answers.prompts import PromptBuilder
from train.answers.question import Question
from train.answers.space import LEVELS, SCORES, AnswerSpace
from train.data.reader import Features
from train.errors import ContextExceeded
from train.model.packed_decoder import PackedDecoder
from train.model.packing import Layout, Passage, TokenTree, embed, lay_out


class QualityModel(nn.Module):
    """LMM-VQA (arXiv 2408.14008, eq. 6–10): only `projectors`, and LoRA adapters if any, are trained."""

    def __init__(
        self,
        decoder: PreTrainedModel,
        prompts: PromptBuilder,
        projectors: Mapping[str, nn.Module],
        targets: TargetSettings | None = None,
        *,
        token_order: Literal["blocks", "interleaved"] = "blocks",
        step: StepSettings | None = None,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.projectors = nn.ModuleDict(projectors)
        self.prompts = prompts
        self.token_order = token_order
        self.packed = PackedDecoder(decoder, step or StepSettings())
        values: dict[Task, Sequence[int | str]] = {"score": SCORES, "level": LEVELS}
        self.spaces: dict[Task, AnswerSpace] = {
            task: AnswerSpace.of([prompts.answer_ids(task, value) for value in allowed], prompts.end_of_turn)
            for task, allowed in values.items()
        }
        self.loss = AnswerLoss(self.spaces["score"], targets or TargetSettings())

    def train(self, mode: bool = True) -> "QualityModel":
        """Training mode for what trains; the frozen decoder stays in evaluation mode."""
        super().train(mode)
        self.decoder.eval()
        for name, module in self.decoder.named_modules():
            if "lora_" in name:
                module.train(mode)
        return self

    def check_length(self, tokens: int, video: str = "the video") -> None:
        """Raise ContextExceeded where a video with its questions is longer than the decoder can read."""
        limit = getattr(self.decoder.config.get_text_config(), "max_position_embeddings", None)
        if limit is not None and tokens > limit:
            raise ContextExceeded(
                f"{video} takes {tokens:,} tokens with its questions, but {type(self.decoder).__name__} reads"
                f" at most {limit:,} (max_position_embeddings): fewer tokens a chunk (a branch's `grid`, or"
                " `tokens` of its projector), `over_time = mean`, or a decoder with a longer context"
            )

    def trainable_parameters(self) -> dict[str, int]:
        """Each trainable part's name → its number of parameters."""
        parts = {**self.projectors, "lora": self.decoder}
        counts = {
            name: sum(p.numel() for p in part.parameters() if p.requires_grad) for name, part in parts.items()
        }
        return {name: count for name, count in counts.items() if count}

    def visual_tokens(self, videos: Sequence[Features]) -> list[torch.Tensor]:
        """Each video's tokens [V, width]: the spatial block, then the temporal block (eq. 8).

        Or `interleaved`: chunk after chunk in the order of their beginnings, a video's k-th of n chunks at
        k / n of its length; of those that begin together the spatial one is first. Where the branches have
        the same chunks, that is spatial and temporal tokens of every second in turn.
        """
        chunks: list[list[tuple[float, torch.Tensor]]] = [[] for _ in videos]
        for branch, projector in self.projectors.items():
            counts = [len(video[branch]) for video in videos]
            projected = projector(torch.cat([video[branch] for video in videos]))  # [ΣK, T', H]
            for found, tokens in zip(chunks, projected.split(counts), strict=True):
                found += [(number / len(tokens), chunk) for number, chunk in enumerate(tokens)]
        if self.token_order == "interleaved":
            for found in chunks:
                found.sort(key=lambda chunk: chunk[0])
        return [torch.cat([tokens for _, tokens in found]) for found in chunks]

    def forward(self, videos: Sequence[Features], questions: Sequence[Question]) -> torch.Tensor:
        """Loss of each question's answer (see AnswerLoss): float32 [questions]."""
        packed = self.pack(self.visual_tokens(videos), questions)
        logits = self.packed.logits(self.decoder, packed.embeddings, packed.layout, packed.rows)  # [A, vocab]
        return self.loss(logits, questions, packed.answers)

    def pack(self, visual: Sequence[torch.Tensor], questions: Sequence[Question]) -> "PackedQuestions":
        """All questions in one row, those about one video behind its visual tokens.

        Questions whose prompts differ before the visual tokens share no prefix.
        """
        passages: dict[tuple[int, tuple[int, ...]], Passage] = {}
        answers, ends = [], []
        for question in questions:
            prompt = self.prompts.prompt(question.task, question.phrasing)
            answer = self.prompts.answer_ids(question.task, question.answer)
            key = question.video, prompt.before
            if key not in passages:
                passages[key] = Passage(prompt.before, visual[question.video], TokenTree())
            tree = passages[key].tree
            ends.append((key, tree.add(answer, tree.add(prompt.after))))
            answers.append((*answer, self.prompts.end_of_turn))
        layout = lay_out(list(passages.values()))
        segments = dict(zip(passages, layout.segments, strict=True))
        rows = [
            segments[key].row(end) - left
            for (key, end), answer in zip(ends, answers, strict=True)
            for left in reversed(range(len(answer)))
        ]
        embeddings = embed(list(passages.values()), embedding_table(self.decoder))
        return PackedQuestions(embeddings, layout, torch.tensor(rows, device=embeddings.device), answers)


@dataclass(frozen=True)
class PackedQuestions:
    """A row of all questions, and where their answers are read."""

    embeddings: torch.Tensor
    """[1, tokens, width]."""
    layout: Layout
    rows: torch.Tensor
    """[A]: where each answer token, and each end of turn, is predicted."""
    answers: list[tuple[int, ...]]
    """What should be read there, question by question."""


def embedding_table(decoder: PreTrainedModel) -> nn.Embedding:
    """The decoder's token embeddings [vocabulary, width]."""
    table = decoder.get_input_embeddings()
    assert isinstance(table, nn.Embedding), (
        f"{type(decoder).__name__} embeds tokens by {type(table).__name__}"
    )
    return table
