"""Which names may name folders, and which texts may identify a video."""

import re

from store.errors import InvalidName
from store.ids import storable_id

_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_STREAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def check_folder_name(name: str, what: str) -> str:
    """A dataset's or an encoder's name, which becomes a folder. Raises InvalidName."""
    if not _FOLDER.fullmatch(name):
        raise InvalidName(
            f"{what} name {name!r}: expected a letter or digit, then letters, digits and . _ + -"
            " (100 at most)"
        )
    return name


def is_stream_name(name: str) -> bool:
    """Whether the name may be a stream's, which becomes a folder and a part of file names."""
    return _STREAM.fullmatch(name) is not None


def check_stream_name(name: str) -> str:
    """The name, if it may be a stream's. Raises InvalidName."""
    if not is_stream_name(name):
        raise InvalidName(
            f"stream name {name!r}: expected a letter or digit, then letters, digits and _ - (100 at most)"
        )
    return name


def check_video_id(video: str) -> str:
    """A video's id as it is stored (see store.ids): only ever data, never a path. Raises InvalidName."""
    if not isinstance(video, str):
        raise InvalidName(f"video id {video!r}: expected text, found {type(video).__name__}")
    if not video:
        raise InvalidName("video id '': expected at least one character")
    return storable_id(video)
