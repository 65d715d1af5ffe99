"""Free conversation about videos: the decoder's own `generate`, behind projected features."""

from collections.abc import Sequence
from typing import Any

from transformers.generation.streamers import BaseStreamer

from train.answers.conversation import Message
from train.data.reader import Features
from train.inference.talk import Talk
from train.model.regression import VideoModel


def reply(
    model: VideoModel,
    media: Sequence[Features],
    messages: Sequence[Message],
    *,
    shown: Sequence[tuple[str, ...] | None] = (),
    streamer: BaseStreamer | None = None,
    **generation: Any,
) -> str:
    """What the model says next, in one turn; a Talk keeps what it has read for the next.

    `shown`: of which branches each medium shows its tokens, where not of all. Raises as Talk and its `reply`
    do.
    """
    talk = Talk(model)
    for medium, branches in zip(media, shown or [None] * len(media), strict=True):
        talk.show(medium, branches)
    return talk.reply(messages, streamer=streamer, **generation)
