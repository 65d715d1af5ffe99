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
    streamer: BaseStreamer | None = None,
    **generation: Any,
) -> str:
    """What the model says next, in one turn; a Talk keeps what it has read for the next.

    Raises as Talk and its `reply` do.
    """
    return Talk(model, media).reply(messages, streamer=streamer, **generation)
