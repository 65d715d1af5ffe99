"""Questions about videos in turns; what was seen and said before is not read again."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.generation.streamers import BaseStreamer

from evaluate.chat.stretches import stretch_in, videos_in
from evaluate.watching.stretch import Stretch
from evaluate.watching.watcher import Watched, Watcher
from train.answers.conversation import Message
from train.inference.opening import Opening
from train.pretrained import TrainedModel


@dataclass(frozen=True)
class Part:
    """The seconds of a video that a question is about."""

    video: int
    """Its number, from 1."""
    begin: float
    end: float
    cut: bool
    """Whether the question names more than the video has."""

    def shown(self) -> str:
        """For a person."""
        return f"{self.begin:.1f}–{self.end:.1f} s"


@dataclass(frozen=True)
class Turn:
    """A question and what the model said."""

    question: str
    answer: str
    stretch: Stretch | None
    """As the question has it."""
    about: Sequence[Part]
    """The stretch in each video that was shown for it."""
    first_token_seconds: float
    """From the question to the answer's first token."""


class Interview:
    """A conversation about videos.

    The first question is asked behind all videos; one about a stretch of time behind those seconds alone. A
    later one about a stretch shows the model those seconds, of the videos that it names, once more.
    """

    def __init__(
        self,
        trained: TrainedModel,
        watcher: Watcher,
        videos: Sequence[Watched],
        system: str | None = None,
    ) -> None:
        """`system`: what the model is told first; where not given, as in its training (Opening).

        Raises TrainError where the model writes no text.
        """
        self._talk = trained.talk()
        self._watcher = watcher
        self._videos = list(videos)
        self._shown = False
        self._opening = Opening.of(trained.settings, system)
        self.messages = self._opening.messages

    def about(self, question: str) -> list[Part]:
        """The stretches that a question is about; none where it names none.

        Raises StretchError where a video has not that stretch, UnknownVideo.
        """
        stretch, videos = stretch_in(question), videos_in(question, len(self._videos))
        if stretch is None:
            return []
        return [
            Part(
                number + 1,
                *self._videos[number].span(stretch),
                cut=stretch.exceeds(self._videos[number].seconds),
            )
            for number in videos
        ]

    def ask(self, question: str, streamer: BaseStreamer | None = None, **generation: Any) -> Turn:
        """The next turn; a question that cannot be asked leaves the conversation as it was.

        Raises StretchError, UnknownVideo, ContextExceeded, ConversationError.
        """
        stretch, about = stretch_in(question), self.about(question)
        clock = FirstToken(streamer)
        before = self._talk.shown
        try:
            asked = Message("user", self._show(question, stretch))
            answer = self._talk.reply([*self.messages, asked], streamer=clock, **generation)
        except BaseException:
            self._talk.take_back(before)
            raise
        self.messages += [asked, Message("assistant", answer)]
        self._shown |= stretch is None
        return Turn(question, answer, stretch, about, clock.seconds)

    def _show(self, question: str, stretch: Stretch | None) -> str:
        """The question with slots for what it is about, which is shown to the model."""
        if stretch is None and self._shown:
            return question
        count = len(self._videos)
        about = range(count) if stretch is None else videos_in(question, count)
        for number in about:
            self._talk.show(self._watcher.medium(self._videos[number], stretch), *self._opening.slots)
        return self._opening.text(question, count, about)


class FirstToken(BaseStreamer):
    """Hands tokens on and tells when the first came."""

    def __init__(self, streamer: BaseStreamer | None) -> None:
        self._streamer = streamer
        self._begun = time.perf_counter()
        self.seconds = 0.0

    def put(self, value: torch.Tensor) -> None:
        if not self.seconds and value.numel():
            self.seconds = time.perf_counter() - self._begun
        if self._streamer is not None:
            self._streamer.put(value)

    def end(self) -> None:
        if self._streamer is not None:
            self._streamer.end()
