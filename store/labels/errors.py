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


class VideoFolderMissingError(LabelError):
    """The folder that should hold a dataset's videos is not there."""


class GroupError(LabelError):
    """The content group of a video cannot be told."""


class SplitError(LabelError):
    """The labels cannot be split as asked."""


def some(names: Sequence[str], shown: int = 10) -> str:
    """The first names, and an ellipsis where there are more."""
    return ", ".join(names[:shown]) + (", …" if len(names) > shown else "")
