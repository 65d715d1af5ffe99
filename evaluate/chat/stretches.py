"""Stretches of time that a question names: "between 3 and 5 s", "the first two seconds", "at 1:02:03"."""

import re
from collections.abc import Callable

from evaluate.errors import UnknownVideo
from evaluate.watching.stretch import Stretch

_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")

# "0:04", "1:02:03.5"; neither a part of something longer, nor the time of day.
_CLOCK = r"(?<![\w:.])(?:\d+:[0-5]?\d|\d+):[0-5]\d(?:[.,]\d+)?(?![.:]?\d|\s*[ap]\.?m\b)"
# "3", "1,200", "3.5", "3,5", ".5".
_DIGITS = r"(?<![\w.:])(?<!\d,)(?:\d{1,3}(?:,\d{3})+|\d+(?:[.,]\d+)?|\.\d+)(?![.,:]?\d)"
_NUMBER = rf"(?:{_DIGITS}|(?<![\w-])(?:{'|'.join(_WORDS)})\b)"
_SECOND = r"(?:seconds?|secs?|s)(?![a-z])"
_MINUTE = r"(?:minutes?|mins?)(?![a-z])"
_LENGTH = rf"(?:{_NUMBER}[\s-]*{_MINUTE}(?:\s*(?:and\s+)?{_NUMBER}[\s-]*{_SECOND})?|{_NUMBER}[\s-]*{_SECOND})"
_TIME = rf"(?:{_CLOCK}|{_LENGTH})"
_UNTIL = r"\s*(?:to|until|till|[-–—])\s*(?:the\s+)?"
_AND = rf"(?:{_UNTIL}|\s+and\s+(?:the\s+)?)"
_NO_LENGTH = rf"(?!(?:\s*{_NUMBER}[\s-]*{_SECOND})?\s+(?:long|in\s+length)\b)"
"""What would make a time the length of something."""

_RATIO = re.compile(r"(?<![\w:.])(?:16:10|10:16|9:16|9:18|9:19|9:20|9:21)(?![.:]?\d)")
"""Usual shapes of a picture that might be times."""
_SHAPE = re.compile(r"\b(?:aspect|ratios?|format|widescreen)\b")
"""Words beside which they are shapes."""
_UNIT = re.compile(rf"{_SECOND}|{_MINUTE}")
_PART = re.compile(rf"(?:({_NUMBER})[\s-]*)?({_UNIT.pattern})")
_VIDEO = re.compile(
    rf"\b(?:video\s+(\d+)(?![.,:]?\d|\w|\s*(?:{_SECOND}|{_MINUTE}|[x×%]|fps|hz))|({'|'.join(_ORDINALS)})\s+video)\b"
)


def _moment(at: float) -> Stretch:
    return Stretch(at, at + 1)


def _beginning(length: float) -> Stretch:
    return Stretch(0.0, length)


def _ending(length: float) -> Stretch:
    return Stretch(length, None, from_end=True)


def _rest(begin: float) -> Stretch:
    return Stretch(begin, None)


_WORDINGS: tuple[tuple[str, Callable[..., Stretch]], ...] = (
    (rf"\bbetween\s+(?:the\s+)?({_CLOCK}|{_LENGTH}|{_NUMBER}){_AND}({_TIME})", Stretch),
    (rf"({_CLOCK}|{_LENGTH}){_UNTIL}({_TIME})", Stretch),
    (rf"({_NUMBER}){_UNTIL}({_LENGTH})", Stretch),
    (rf"\bseconds?\s+({_DIGITS}){_AND}(?:seconds?\s+)?({_DIGITS})", Stretch),
    (rf"\b(?:after|since)\s+(?:the\s+)?(?:first\s+)?({_TIME})", _rest),
    (rf"\bfrom\s+({_TIME})\s+on(?:wards?)?\b", _rest),
    (rf"\bfirst\s+({_LENGTH})", _beginning),
    (rf"\b(?:the|its|their)\s+(?:very\s+)?first\s+({_SECOND}|{_MINUTE})", _beginning),
    (rf"\b(?<!before )(?:the|its|their|in|during)\s+(?:very\s+)?(?:last|final)\s+({_LENGTH})", _ending),
    (rf"\b(?<!before )(?:the|its|their)\s+(?:very\s+)?(?:last|final)\s+({_SECOND}|{_MINUTE})", _ending),
    (rf"\b(?:before|until|till|up\s+to)\s+(?:the\s+)?({_TIME})", _beginning),
    (rf"\b(?:at|around|near)\s+(?:about\s+)?(?:the\s+)?(?:second\s+)?({_TIME})", _moment),
    (rf"\b(?:at|in|during|around|near)\s+second\s+({_DIGITS})", _moment),
)
_PATTERNS = [(re.compile(pattern + _NO_LENGTH), make) for pattern, make in _WORDINGS]


def stretch_in(question: str) -> Stretch | None:
    """The first stretch of time that a question names, if it does; a number alone is none."""
    text = question.casefold()
    if _SHAPE.search(text):
        text = _RATIO.sub("", text)
    for pattern, make in _PATTERNS:
        if found := pattern.search(text):
            # "between 1 and 2 minutes": a number alone has the unit of the last one.
            *_, unit = ["s", *_UNIT.findall(found.groups()[-1])]
            return make(*(_seconds(each, unit) for each in found.groups()))
    return None


def videos_in(question: str, count: int) -> list[int]:
    """Which of so many videos a question names ("video 2", "the second video"), from 0; all where none.

    Raises UnknownVideo where it names another.
    """
    named = {
        int(number) if number else _ORDINALS.index(word) + 1
        for number, word in _VIDEO.findall(question.casefold())
    }
    if unknown := sorted(named - {*range(1, count + 1)}):
        there = "is 1 video" if count == 1 else f"are {count} videos"
        raise UnknownVideo(f"video {unknown[0]}: there {there}, counted from 1; name one of them, or none")
    return sorted(number - 1 for number in named) or list(range(count))


def _seconds(text: str, unit: str) -> float:
    """Of a clock, a length, or a number of units."""
    if ":" in text:
        seconds = 0.0
        for part in text.split(":"):
            seconds = 60 * seconds + _number(part)
        return seconds
    parts = _PART.findall(text) or [(text, unit)]
    return sum(_number(number or "one") * (60 if its.startswith("m") else 1) for number, its in parts)


def _number(text: str) -> float:
    if text in _WORDS:
        return float(_WORDS.index(text))
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+", text):
        return float(text.replace(",", ""))
    return float(text.replace(",", "."))
