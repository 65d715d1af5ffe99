"""Where videos are decoded: in worker processes (extract.workers.pool), or here."""

from collections.abc import Generator, Iterable, Mapping
from typing import Protocol

from extract.encoders.base import Encoder
from extract.tasks import VideoTask
from extract.video.view import Chunk
from extract.workers.messages import Attempt, Event
from extract.workers.worker import duty_of, video_messages


class Decoders(Protocol):
    """Decodes videos, somewhere."""

    def events(self, tasks: Iterable[VideoTask]) -> Generator[Event | None]:
        """What becomes of the videos, as it happens; None from time to time while nothing does.

        A task is asked for when there is room for it. Every task's last event is Ended or Failed. If the
        iterator is not read to its end, what was begun is given up.
        """
        ...

    def recycle(self, chunk: Chunk) -> None:
        """The chunk has been encoded: its memory may be used for another."""
        ...

    def close(self) -> None:
        """End what is at work."""
        ...


class DecodeHere:
    """Decodes in this process: for few videos, or one at a time. A crash is this process's own."""

    def __init__(self, encoders: Mapping[str, Encoder]) -> None:
        self._duty = duty_of(encoders)

    def events(self, tasks: Iterable[VideoTask]) -> Generator[Event | None]:
        """See Decoders."""
        for task in tasks:
            attempt = Attempt(task)
            for message in video_messages(task, self._duty):
                yield attempt, message

    def recycle(self, chunk: Chunk) -> None:
        """See Decoders."""

    def close(self) -> None:
        """See Decoders."""
