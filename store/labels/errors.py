"""Errors about label files, the videos they name, and how they are split."""

from collections.abc import Sequence

from config.errors import Problem


class LabelError(Problem):
    """Base of every error about labels."""


class LabelsMissingError(LabelError):
    """A label file is not there."""


class LabelLayoutError(LabelError):
    """A label file's layout is not one that is known."""


class LabelValueError(LabelError):
    """A label file holds a value that cannot be used."""


class DuplicateLabelError(LabelError):
    """A video is labelled twice, with different scores or in different splits."""


class MosRangeError(LabelError):
    """An opinion score lies outside the range that the dataset declares."""


class AmbiguousVideoError(LabelError):
    """A label could mean several videos, or a video several labels."""


class VideoFolderError(LabelError):
    """The folder that should hold videos is not there, cannot be read or holds none."""


class GroupError(LabelError):
    """The content group of a video is not known."""


class SplitError(LabelError):
    """The labels cannot be split as asked."""


def shown(name: object) -> str:
    """A name on one line: line breaks, control characters and bytes that are not UTF-8 as escapes."""
    text = str(name)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def some(names: Sequence[object], limit: int = 10) -> str:
    """The first names, as `shown`, and an ellipsis where there are more."""
    return ", ".join(map(shown, names[:limit])) + (", …" if len(names) > limit else "")
