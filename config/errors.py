"""The one base class of errors that a person can put right, and what helps to raise them."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pydantic import ValidationError


class Problem(Exception):
    """An error whose message tells a person what to do next.

    The message names the file or key, what was found and what was expected. Commands print it without
    a traceback and exit with status 1; anything that is not a `Problem` is a defect of ours and keeps
    its traceback.
    """


@contextmanager
def refusing(refusal: type[Problem], what: str) -> Iterator[None]:
    """Around a library's reading of a file that may be damaged: whatever it raises becomes `what: reason`."""
    try:
        yield
    except Problem:
        raise
    except Exception as error:
        # The message of a KeyError is the key alone, that of a MemoryError nothing.
        reason = repr(error) if isinstance(error, KeyError) or not str(error) else str(error)
        if isinstance(error, ValidationError):
            faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}" for e in error.errors()[:3]]
            reason = "; ".join(faults)
        raise refusal(f"{what}: {reason}") from error


def nearest(name: str, names: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def count(number: int, what: str) -> str:
    """`1 video`, `1,200 videos`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
