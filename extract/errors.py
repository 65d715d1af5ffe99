"""Why a video, or the weights of an encoder, cannot be used."""

from typing import ClassVar

from config.errors import Problem


class UnreadableVideo(Problem):
    """A video that gives no features. `kind` is the reason for a program to read; the message is for people.

    One message is the only argument, so that the errors survive the way from a worker process.
    """

    kind: ClassVar[str] = "unreadable"

    def __init_subclass__(cls, kind: str | None = None) -> None:
        cls.kind = kind or cls.kind


class MissingFile(UnreadableVideo, kind="missing_file"):
    """There is no such file."""


class UnreachableVideo(UnreadableVideo, kind="unreachable"):
    """It could not be fetched from where it lies."""


class NotAFile(UnreadableVideo, kind="not_a_file"):
    """A folder, a pipe, a socket or a device: opening it would fail or wait for ever."""


class EmptyFile(UnreadableVideo, kind="empty_file"):
    """A file of zero bytes."""


class NotAVideo(UnreadableVideo, kind="not_a_video"):
    """No demuxer recognises the bytes, or they are a playlist that points elsewhere."""


class MissingIndex(UnreadableVideo, kind="missing_index"):
    """An MP4 file without its index (moov): an upload or a recording that never finished."""


class NoVideoStream(UnreadableVideo, kind="no_video_stream"):
    """Sound, subtitles or cover art only."""


class NoFrames(UnreadableVideo, kind="no_frames"):
    """A video stream of which not one frame decodes."""


class TruncatedVideo(UnreadableVideo, kind="truncated"):
    """Far fewer seconds or frames decode than the container declares."""


class CorruptVideo(UnreadableVideo, kind="corrupt"):
    """Too large a share of the frames is damaged."""


class ImplausibleTiming(UnreadableVideo, kind="implausible_timing"):
    """Timestamps that no camera makes: the file's timescale or time table is broken."""


class EncoderError(Problem):
    """An encoder cannot be built: its weights are absent or do not fit, or its settings cannot work."""


class NoVideos(Problem):
    """A dataset's folder of videos, or its labels, are not there."""
