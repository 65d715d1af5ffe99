"""Why a video, or the weights of an encoder, cannot be used."""

from typing import ClassVar

from config.errors import Problem


class UnreadableVideo(Problem):
    """A video that gives no features. `kind` is the reason for a program to read; the message is for people.

    One message is the only argument, so that the errors survive the way from a worker process.
    """

    kind: ClassVar[str] = "unreadable"


class MissingFile(UnreadableVideo):
    """There is no such file."""

    kind = "missing_file"


class NotAFile(UnreadableVideo):
    """A folder, a pipe, a socket or a device: opening it would fail or wait for ever."""

    kind = "not_a_file"


class EmptyFile(UnreadableVideo):
    """A file of zero bytes."""

    kind = "empty_file"


class NotAVideo(UnreadableVideo):
    """No demuxer recognises the bytes, or they are a playlist that points elsewhere."""

    kind = "not_a_video"


class MissingIndex(UnreadableVideo):
    """An MP4 file without its index (moov): an upload or a recording that never finished."""

    kind = "missing_index"


class NoVideoStream(UnreadableVideo):
    """Sound, subtitles or cover art only."""

    kind = "no_video_stream"


class NoFrames(UnreadableVideo):
    """A video stream of which not one frame decodes."""

    kind = "no_frames"


class TruncatedVideo(UnreadableVideo):
    """Far fewer seconds or frames decode than the container declares."""

    kind = "truncated"


class CorruptVideo(UnreadableVideo):
    """Too large a share of the frames is damaged."""

    kind = "corrupt"


class ImplausibleTiming(UnreadableVideo):
    """Timestamps that no camera makes: the file's timescale or time table is broken."""

    kind = "implausible_timing"


class EncoderError(Problem):
    """An encoder cannot be built: its weights are absent or do not fit, or its settings cannot work."""


class NoVideos(Problem):
    """A dataset's folder of videos, or its labels, are not there."""
