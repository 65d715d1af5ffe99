"""What becomes of a video while it is decoded: the messages from decoders to encoders, and who sends them."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Protocol

from extract.encoders.base import Features
from extract.location import FileStamp
from extract.tasks import Refused, VideoTask
from extract.video.decode import VideoInfo
from extract.video.view import Chunk


@dataclass(frozen=True, eq=False)
class Attempt:
    """One try at a video: a video whose decode process died is tried again."""

    task: VideoTask
    number: int = 1


@dataclass(frozen=True)
class Working:
    """The worker has started, or more of the video has come from where it lies."""


@dataclass(frozen=True)
class Decoded:
    """A chunk for an encoder that runs on a device."""

    encoder: str
    chunk: Chunk


@dataclass(frozen=True)
class Encoded:
    """What an encoder that runs beside the decoder gave for its next chunk; nothing, if it is one that
    finishes."""

    encoder: str
    features: Features


@dataclass(frozen=True)
class Finished:
    """What an encoder made of the whole video, at its end."""

    encoder: str
    features: Features


@dataclass(frozen=True)
class Ended:
    """The video was decoded to its end. `stamp`: of the file that was read. `seconds`: by phase."""

    info: VideoInfo
    stamp: FileStamp
    seconds: dict[str, float]


@dataclass(frozen=True)
class Lost:
    """The attempt's process died; what was made of the video is void, and another attempt follows."""


VideoMessage = Working | Decoded | Encoded | Finished | Ended | Refused
"""Where the video is refused, what was made of it is void."""

Event = tuple[Attempt, VideoMessage | Lost]


class Decoders(Protocol):
    """Decodes videos, somewhere."""

    def events(self, tasks: Iterable[VideoTask]) -> Generator[Event | None]:
        """What becomes of the videos, as it happens; None from time to time while nothing does.

        A task is asked for when there is room for it. Every task's last event is Ended or Refused. If the
        iterator is not read to its end, what was begun is given up.
        """
        ...

    def recycle(self, chunk: Chunk) -> None:
        """The chunk has been encoded: its memory may be used for another."""
        ...

    def close(self) -> None:
        """End what is at work."""
        ...
