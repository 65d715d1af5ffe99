"""Times as people write them."""

import re

from evaluate.errors import TimeError

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)\s*s?")


def seconds_of(text: str, option: str) -> float:
    """Of "90", "1.5 s", "1:30" or "1:02:03.5". Raises TimeError, which names the option."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise TimeError(f"{option} {text}: expected seconds or a clock's time, such as 90, 1:30 or 1:02:03.5")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


def length_of(text: str, option: str) -> float:
    """As `seconds_of`, of what must last. Raises TimeError at 0 too."""
    seconds = seconds_of(text, option)
    if not seconds:
        raise TimeError(f"{option} {text}: expected more than 0 seconds")
    return seconds
