"""Free conversation about videos: the decoder's own `generate`, behind projected features."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation.streamers import BaseStreamer

from train.answers.chat import Slot
from train.answers.conversation import SLOT, Conversation, Message
from train.data.reader import Features
from train.errors import ConversationError, TrainError
from train.model.members import contexts_of_members, mean_logits
from train.model.packing import Context, TokenTree, embed
from train.model.regression import RegressionModel, VideoModel


@torch.inference_mode()
def reply(
    model: VideoModel,
    media: Sequence[Features],
    messages: Sequence[Message],
    *,
    streamer: BaseStreamer | None = None,
    **generation: Any,
) -> str:
    """What the model says next.

    `media` fill the messages' slots (SLOT) in their order. `streamer` gets tokens as they are written, and
    `generation` goes to transformers' `generate`: 512 new tokens and no sampling where not given. Raises
    ConversationError where the last message is the model's own, TrainError where the decoder attends in
    LMM-VQA's released way, which `generate` does not know, or several members are to sample,
    ContextExceeded.
    """
    if isinstance(model, RegressionModel):
        raise TrainError("the regression baseline has no language model, which could write text")
    if model.packed.mmca:
        raise TrainError(
            "a decoder with attention = mmca answers tasks, not free conversation: add a task of text"
        )
    if model.members > 1 and generation.get("do_sample"):
        raise TrainError(
            f"a model of {model.members} members (pipelines.NAME.members) writes the likeliest tokens alone:"
            " leave out do_sample"
        )
    if not messages or messages[-1].role == "assistant":
        raise ConversationError("the last message is the model's own: end with a user's")
    slots = sum(message.text.count(SLOT) for message in messages)
    pieces = model.prompts.chat.pieces(Conversation(tuple(range(slots)), tuple(messages)))
    if slots != len(media):
        raise ConversationError(f"{len(media)} media for {slots} slots in the messages")
    device = next(model.projectors.parameters()).device
    visual = model.visual_tokens([{name: block.to(device) for name, block in each.items()} for each in media])
    end = model.prompts.chat.end_of_turn
    parts = [visual[piece.medium] if isinstance(piece, Slot) else piece.ids for piece in pieces]
    options = {"max_new_tokens": 512, "do_sample": False, **generation}
    # Its own, not the decoder's, which may sample or penalise.
    settings = GenerationConfig(eos_token_id=end, pad_token_id=end, **options)
    context = Context(tuple(parts), TokenTree())
    model.check_length(context.prefix + options["max_new_tokens"])
    rows = [embed([own], model.table) for own in contexts_of_members([context], model.members)]
    embeddings = torch.cat(rows).to(model.decoder.dtype)  # [members, tokens, width]
    together = model.members > 1
    ids = model.decoder.generate(  # type: ignore[operator]
        inputs_embeds=embeddings,
        attention_mask=torch.ones(embeddings.shape[:2], dtype=torch.long, device=device),
        generation_config=settings,
        logits_processor=LogitsProcessorList([_Mean()] if together else []),
        streamer=_OfFirst(streamer) if together and streamer is not None else streamer,
    )
    return model.prompts.chat.text(ids[0].tolist())


class _Mean(LogitsProcessor):
    """All rows, the members', write the likeliest token by the mean of their distributions."""

    def __call__(self, _ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        return mean_logits(scores[:, None]).expand_as(scores)  # type: ignore[return-value]


class _OfFirst(BaseStreamer):
    """Hands on the first row's tokens, which are every row's."""

    def __init__(self, streamer: BaseStreamer) -> None:
        self._streamer = streamer

    def put(self, value: torch.Tensor) -> None:
        self._streamer.put(value[:1])

    def end(self) -> None:
        self._streamer.end()
