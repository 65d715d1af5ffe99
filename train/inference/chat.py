"""Free conversation about videos: the decoder's own `generate`, behind projected features."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from train.answers.chat import Slot
from train.answers.conversation import SLOT, Conversation, Message
from train.data.reader import Features
from train.errors import ConversationError, TrainError
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
    LMM-VQA's released way, which `generate` does not know, ContextExceeded.
    """
    if isinstance(model, RegressionModel):
        raise TrainError("the regression baseline has no language model, which could write text")
    if model.packed.mmca:
        raise TrainError(
            "a decoder with attention = mmca answers tasks, not free conversation: add a task of text"
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
    embeddings = embed([context], model.table).to(model.decoder.dtype)
    ids = model.decoder.generate(  # type: ignore[operator]
        inputs_embeds=embeddings,
        attention_mask=torch.ones(embeddings.shape[:2], dtype=torch.long, device=device),
        generation_config=settings,
        streamer=streamer,
    )
    return model.prompts.chat.text(ids[0].tolist())
