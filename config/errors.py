"""The one base class of errors that a person can put right, and a help for their words."""

import difflib
from collections.abc import Iterable


class Problem(Exception):
    """An error whose message tells a person what to do next.

    The message names the file or key, what was found and what was expected. Commands print it without
    a traceback and exit with status 1; anything that is not a `Problem` is a defect of ours and keeps
    its traceback.
    """


def nearest(name: str, names: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
