"""Texts that may identify a video: any file name gives one; and names that may name folders."""

import hashlib
import re
import unicodedata

from store.errors import InvalidName

_HIDDEN = {"Cc", "Cs", "Zl", "Zp"}
_LONGEST = 16_384
"""A path of Linux, at most 4,096 bytes, stays below it when each of them is escaped."""
_KEPT = 1000
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_STREAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def storable_id(text: str) -> str:
    """The text as one visible line that every encoding of Unicode takes; itself where it is that already.

    Control characters, line breaks and bytes of file names that are no UTF-8 become `%XX` for each byte, as
    in a URL (`urllib.parse.unquote(…, errors="surrogateescape")` gives the name back), and so do spaces where
    there is nothing else. Longer texts than 16,384 characters are cut, and end in a digest of the whole. The
    result is never changed again. `%` stands for itself, so that a name with a line break and one with the
    letters `%0A` in its place are taken for the same.
    """
    blank = not text.strip()
    if not text.isprintable() or blank:
        text = "".join(_escaped(c) if blank or unicodedata.category(c) in _HIDDEN else c for c in text)
    if len(text) > _LONGEST:
        text = f"{text[:_KEPT]}…{hashlib.sha256(text.encode()).hexdigest()}"
    return text


def check_video_id(video: str) -> str:
    """A video's id as it is stored (see `storable_id`): only ever data, never a path. Raises InvalidName."""
    if not isinstance(video, str):
        raise InvalidName(f"video id {video!r}: expected text, found {type(video).__name__}")
    if not video:
        raise InvalidName("video id '': expected at least one character")
    return storable_id(video)


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


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        data = character.encode("utf-8", "surrogateescape")
    else:
        data = character.encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in data)
