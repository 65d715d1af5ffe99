"""Conversations about videos and pictures: the one form of all that is trained on and asked."""

from dataclasses import dataclass, replace
from typing import Literal

from train.errors import ConversationError

SLOT = "<|media-tokens-go-here|>"
"""In a message's text: where the tokens of the next medium stand."""


@dataclass(frozen=True)
class Target:
    """What an answer stands for, where its task has values."""

    task: str
    value: float | str
    """A number within the range of the task's answers, or a word."""


@dataclass(frozen=True)
class Message:
    """What one side says."""

    role: Literal["system", "user", "assistant"]
    text: str
    target: Target | None = None
    """Of an assistant's message; it may shape the loss, and is what the regression baseline is asked for."""


@dataclass(frozen=True)
class Conversation:
    """Messages about media; training is on the assistant's messages, each with its end of turn, alone.

    Raises ConversationError where there are not as many slots as media or as `shown`, or one is in an answer.
    """

    media: tuple[int, ...]
    """Which of the media at hand fill the slots, in the order of the slots; one may fill several."""
    messages: tuple[Message, ...]
    shown: tuple[tuple[str, ...] | None, ...] = ()
    """Of each slot: the branches whose tokens it shows, such as key frames in one and motion in another; None
    shows all, as every slot does where this is empty."""

    def __post_init__(self) -> None:
        slots = sum(message.text.count(SLOT) for message in self.messages)
        if slots != len(self.media):
            raise ConversationError(f"a conversation about {len(self.media)} media has {slots} slots")
        if self.shown and len(self.shown) != slots:
            raise ConversationError(f"{len(self.shown)} slots are said what to show, but there are {slots}")
        if any(SLOT in message.text for message in self.messages if message.role == "assistant"):
            raise ConversationError("an assistant's message cannot have a slot: it is what the model writes")

    def moved(self, places: int) -> "Conversation":
        """The same about media that stand so many places further on."""
        return replace(self, media=tuple(medium + places for medium in self.media))

    @property
    def branches(self) -> tuple[tuple[str, ...] | None, ...]:
        """Of each slot: the branches that it shows; None: all."""
        return self.shown or (None,) * len(self.media)

    @property
    def targets(self) -> list[Target]:
        """Of all answers that have one."""
        return [message.target for message in self.messages if message.target is not None]
