"""The plain way: a right-padded row for each question, full logits, transformers' own attention and loss.

What the packed step is compared with, by the tests for equality and by the benchmarks for speed and memory.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional

from train.answers.question import Question
from train.data.reader import Features
from train.model.quality import QualityModel, embedding_table

IGNORED = -100


def plain_rows(
    model: QualityModel, visual: Sequence[torch.Tensor], questions: Sequence[Question]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Embeddings [Q, L, width], mask [Q, L] and labels [Q, L] with -100 everywhere but at the answers."""
    table = embedding_table(model.decoder)
    sequences, labels = [], []
    for question in questions:
        tokens = visual[question.video]
        prompt = model.prompts.prompt(question.task, question.phrasing)
        answer = (*model.prompts.answer_ids(question.task, question.answer), model.prompts.end_of_turn)
        before, after = (
            table(torch.tensor(ids, device=tokens.device))
            for ids in (prompt.before, (*prompt.after, *answer))
        )
        sequences.append(torch.cat([before, tokens.to(before.dtype), after]))
        label = torch.full((len(sequences[-1]),), IGNORED, device=tokens.device)
        label[-len(answer) :] = torch.tensor(answer, device=tokens.device)
        labels.append(label)
    pad = torch.nn.utils.rnn.pad_sequence
    masks = [torch.ones(len(sequence), dtype=torch.long, device=label.device) for sequence in sequences]
    return pad(sequences, True), pad(masks, True), pad(labels, True, IGNORED)


def plain_loss(
    model: QualityModel, videos: Sequence[Features], questions: Sequence[Question]
) -> torch.Tensor:
    """Hugging Face's loss: the mean over all answer tokens."""
    embeddings, mask, labels = plain_rows(model, model.visual_tokens(videos), questions)
    loss: torch.Tensor = model.decoder(
        inputs_embeds=embeddings, attention_mask=mask, labels=labels, use_cache=False
    ).loss
    return loss


def plain_losses(
    model: QualityModel, videos: Sequence[Features], questions: Sequence[Question]
) -> torch.Tensor:
    """float32 [questions]: the mean over each question's answer tokens."""
    embeddings, mask, labels = plain_rows(model, model.visual_tokens(videos), questions)
    logits = model.decoder(inputs_embeds=embeddings, attention_mask=mask, use_cache=False).logits.float()
    targets = labels[:, 1:]  # [Q, L - 1]
    losses = functional.cross_entropy(logits[:, :-1].transpose(1, 2), targets, reduction="none")
    answers = targets != IGNORED
    return (losses * answers).sum(dim=1) / answers.sum(dim=1)
