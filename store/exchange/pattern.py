"""Patterns such as `{video}/feature_{chunk}_{stream}_feature.npy`: what a name says about an array."""

import re
from dataclasses import dataclass

from store.errors import ImportFailed

_PLACEHOLDERS = {
    "video": r"(?P<video>.+)",
    "stream": r"(?P<stream>[A-Za-z0-9][A-Za-z0-9_-]*)",
    # Not preceded by a digit, so that a number is never divided between two placeholders.
    "chunk": r"(?P<chunk>(?<![0-9])[0-9]+)",
}


@dataclass(frozen=True)
class Place:
    """Where an array belongs."""

    video: str
    """As the source writes it."""
    stream: str | None
    chunk: int | None


class Pattern:
    """Reads names. `{video}` may span directories, `{stream}` is a stream's name, `{chunk}` a number.

    Raises ImportFailed where the text is no pattern.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        pieces = re.split(r"\{([^{}]*)\}", text)  # literal, name, literal, name, …, literal
        names = pieces[1::2]
        if "video" not in names or len(set(names)) < len(names) or not set(names) <= _PLACEHOLDERS.keys():
            known = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
            raise ImportFailed(f"--pattern {text}: expected {{video}}, and each of {known} at most once")
        parts = [_PLACEHOLDERS[p] if index % 2 else re.escape(p) for index, p in enumerate(pieces)]
        self._expression = re.compile("".join(parts), re.DOTALL)
        self.chunked = "chunk" in names

    def place(self, name: str) -> Place | None:
        """Where the array of that name belongs; None where the pattern does not fit."""
        found = self._expression.fullmatch(name)
        if found is None:
            return None
        groups = found.groupdict()
        chunk = groups.get("chunk")
        return Place(groups["video"], groups.get("stream"), None if chunk is None else int(chunk))
