"""The plain way: a right-padded row for each conversation, full logits, transformers' own attention and loss.

What the packed step is compared with, by the tests for equality and by the benchmarks for speed and memory.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional

from train.answers.chat import Answer, Slot
from train.answers.conversation import Conversation
from train.data.reader import Features
from train.model.quality import QualityModel, embedding_table

IGNORED = -100


def plain_rows(
    model: QualityModel, media: Sequence[torch.Tensor], conversations: Sequence[Conversation]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Embeddings [C, L, width], mask [C, L] and labels [C, L] with -100 everywhere but at the answers."""
    table, end = embedding_table(model.decoder), model.prompts.chat.end_of_turn
    device = table.weight.device
    sequences, labels = [], []
    for conversation in conversations:
        embedded, ids = [], list[int]()
        after_answer = False
        for piece in model.prompts.chat.pieces(conversation):
            if isinstance(piece, Slot):
                embedded.append(media[piece.medium].to(table.weight.dtype))
                ids += [IGNORED] * len(media[piece.medium])
                continue
            text = torch.tensor(piece.ids, device=device, dtype=torch.long)
            embedded.append(table(text))
            if isinstance(piece, Answer):
                ids += piece.ids
            else:  # the end of turn that an answer is followed by is the model's own
                ids += [IGNORED] * len(text)
                ids[-len(text)] = end if after_answer else IGNORED
            after_answer = isinstance(piece, Answer)
        if after_answer:
            embedded.append(table(torch.tensor([end], device=device)))
            ids.append(end)
        sequences.append(torch.cat(embedded))
        labels.append(torch.tensor(ids, device=device))
    pad = torch.nn.utils.rnn.pad_sequence
    masks = [torch.ones(len(sequence), dtype=torch.long, device=device) for sequence in sequences]
    return pad(sequences, True), pad(masks, True), pad(labels, True, IGNORED)


def plain_loss(
    model: QualityModel, videos: Sequence[Features], conversations: Sequence[Conversation]
) -> torch.Tensor:
    """Hugging Face's loss: the mean over all answer tokens."""
    embeddings, mask, labels = plain_rows(model, model.visual_tokens(videos), conversations)
    loss: torch.Tensor = model.decoder(
        inputs_embeds=embeddings, attention_mask=mask, labels=labels, use_cache=False
    ).loss
    return loss


def plain_losses(
    model: QualityModel, videos: Sequence[Features], conversations: Sequence[Conversation]
) -> torch.Tensor:
    """float32 [conversations]: the mean over each one's answer tokens."""
    embeddings, mask, labels = plain_rows(model, model.visual_tokens(videos), conversations)
    logits = model.decoder(inputs_embeds=embeddings, attention_mask=mask, use_cache=False).logits.float()
    targets = labels[:, 1:]  # [C, L - 1]
    losses = functional.cross_entropy(logits[:, :-1].transpose(1, 2), targets, reduction="none")
    answers = targets != IGNORED
    return (losses * answers).sum(dim=1) / answers.sum(dim=1)
