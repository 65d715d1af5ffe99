"""Stretches of time that a question names: "between 3 and 5 s", "the first 2 seconds", "at 0:04"."""

import re
from collections.abc import Callable
from dataclasses import dataclass

_CLOCK = r"\d+:[0-5]\d(?:\.\d+)?"
_NUMBER = r"\d+(?:\.\d+)?"
_UNIT = r"\s*(?:s|secs?|seconds?)\b"
_JOIN = r"\s*(?:and|to|until|till|[-–—])\s*"
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


@dataclass(frozen=True)
class Stretch:
    """Seconds of a video."""

    begin: float
    """From the video's beginning, or with `from_end` before its end."""
    end: float | None
    """None is the video's end."""
    from_end: bool = False

    def within(self, seconds: float) -> tuple[float, float]:
        """Begin and end in a video of so many seconds."""
        if self.from_end:
            return max(0.0, seconds - self.begin), seconds
        return self.begin, seconds if self.end is None else min(self.end, seconds)

    def shown(self) -> str:
        """For a person."""
        if self.from_end:
            return f"of the last {self.begin:g} s"
        return f"from {self.begin:g} s on" if self.end is None else f"from {self.begin:g} to {self.end:g} s"


def _moment(at: float) -> Stretch:
    return Stretch(at, at + 1)


_WORDINGS: tuple[tuple[str, Callable[..., Stretch]], ...] = (
    (rf"\b({_CLOCK}){_JOIN}({_CLOCK})", Stretch),
    (rf"\b({_NUMBER})(?:{_UNIT})?{_JOIN}({_NUMBER}){_UNIT}", Stretch),
    (rf"\bseconds?\s+({_NUMBER}){_JOIN}({_NUMBER})\b", Stretch),
    (rf"\bfirst\s+({_NUMBER}){_UNIT}", lambda length: Stretch(0.0, length)),
    (rf"\blast\s+({_NUMBER}){_UNIT}", lambda length: Stretch(length, None, from_end=True)),
    (rf"\bafter\s+({_CLOCK}|{_NUMBER}(?={_UNIT}))", lambda begin: Stretch(begin, None)),
    (rf"\bbefore\s+({_CLOCK}|{_NUMBER}(?={_UNIT}))", lambda end: Stretch(0.0, end)),
    (rf"\b(?:at|around)\s+(?:second\s+)?({_CLOCK}|{_NUMBER}(?={_UNIT}))", _moment),
    (rf"\b(?:at|in|during|around)\s+second\s+({_NUMBER})\b", _moment),
)
_PATTERNS = [(re.compile(pattern, re.IGNORECASE), make) for pattern, make in _WORDINGS]
_VIDEO = re.compile(rf"\b(?:video\s+(\d+)|({'|'.join(_ORDINALS)})\s+video)\b", re.IGNORECASE)


def stretch_in(question: str) -> Stretch | None:
    """The first stretch of time that a question names, if it does; a number alone is none."""
    for pattern, make in _PATTERNS:
        if found := pattern.search(question):
            return make(*map(_seconds, found.groups()))
    return None


def videos_in(question: str, count: int) -> list[int]:
    """Which of so many videos a question names ("video 2", "the second video"), from 0; all where none."""
    named = [
        int(number) - 1 if number else _ORDINALS.index(word.casefold())
        for number, word in _VIDEO.findall(question)
    ]
    known = sorted({each for each in named if 0 <= each < count})
    return known or list(range(count))


def _seconds(text: str) -> float:
    minutes, colon, seconds = text.rpartition(":")
    return 60 * float(minutes) + float(seconds) if colon else float(text)
