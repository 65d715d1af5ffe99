"""Conversations about videos and pictures, as VQA², Q-Instruct, Q-Align, FineVQ and VITAL write them."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from store.labels.errors import shown, some
from store.labels.records import TURNS, Broken, read_records
from store.labels.resolve import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS

Role = Literal["system", "user", "assistant"]

_ROLES: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "ai": "assistant",
    "assistant": "assistant",
}
_MEDIA = ("video", "videos", "image", "images")
_SLOT = re.compile(r"<image>|<video>|<\|image\|>|<\|video\|>")
_RESERVED = re.compile(r"<\|(media-tokens-go|answer-goes)-here\|>")
_QUESTION = frozenset({"question", "answers"})


@dataclass(frozen=True)
class Slot:
    """Where a medium stands in a turn."""

    medium: int
    """Its number in the record."""
    part: int = 0
    """VQA²'s videos have two slots: key frames (0), motion (1)."""
    parts: int = 1


@dataclass(frozen=True)
class Turn:
    """What one side says: texts, and slots between them."""

    role: Role
    parts: tuple[str | Slot, ...]


@dataclass(frozen=True)
class Dialogue:
    """A record that can be used: turns of user and assistant, perhaps behind a system prompt."""

    line: int
    media: tuple[str, ...]
    """Names as the record has them."""
    turns: tuple[Turn, ...]
    mark: str = ""
    """What is asked, as `task_mark` of VQA²'s records says it."""


@dataclass(frozen=True)
class Reported:
    """A record that cannot be used."""

    line: int
    reason: str


@dataclass(frozen=True)
class Conversations:
    """All records of a file: each is used or reported."""

    path: Path
    used: list[Dialogue]
    reported: list[Reported]

    @property
    def records(self) -> int:
        """How many there are."""
        return len(self.used) + len(self.reported)

    def as_json(self) -> dict[str, Any]:
        """`records`, `used`, and `reported` with line and reason."""
        reported = [{"line": each.line, "reason": each.reason} for each in self.reported]
        return {"records": self.records, "used": len(self.used), "reported": reported}


class _Unusable(Exception):
    """Why a record cannot be used."""


def read_conversations(path: Path) -> Conversations:
    """The conversations of a JSON or JSONL file, or of a Hugging Face dataset on disk.

    A record has `conversations`, turns of `from` (human; gpt, ai; system) and `value`, and names its media in
    `video` or `image`, one or a list. Slots in the text say where they stand: one a medium, or two, of key
    frames and of motion; without any, they stand before the first question. A first turn of the assistant is
    left out, as LLaVA does. Raises what `read_records` raises.
    """
    found = Conversations(path, [], [])
    for line, record in read_records(path):
        try:
            found.used.append(_dialogue(line, record))
        except _Unusable as error:
            found.reported.append(Reported(line, str(error)))
    return found


def _dialogue(line: int, record: Any) -> Dialogue:
    if isinstance(record, Broken):
        raise _Unusable(record.reason)
    if not isinstance(record, Mapping):
        raise _Unusable(f"is {_short(record)}, expected an object with `conversations`")
    media = _media(record)
    turns = _alternating(_turns(record))
    names, mark = tuple(name for name, _ in media), record.get("task_mark")
    slotted = _with_slots(turns, [kind for _, kind in media])
    return Dialogue(line, names, slotted, mark.strip() if isinstance(mark, str) else "")


def _media(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names of the media, each with its kind, `video` or `image`, in the order of the record's keys.

    VQA² names videos in `image`, too: an ending says more than the key.
    """
    found = []
    for key, value in record.items():
        if key not in _MEDIA or value is None:
            continue
        for each in value if isinstance(value, list) else [value]:
            name = each.get("path") if isinstance(each, Mapping) else each
            if isinstance(each, Mapping) and each.get("bytes") is not None:
                raise _Unusable(f"holds its {key} itself: expected the name of a file")
            if not isinstance(name, str) or not (name := name.strip("\ufeff \t\r\n")):
                raise _Unusable(f"`{key}` is {_short(value)}, expected the name of a file, or a list of them")
            found.append((name, _kind(name) or key.removesuffix("s")))
    return found


def _kind(name: str) -> str | None:
    ending = PurePosixPath(name).suffix.lower()
    return "video" if ending in VIDEO_EXTENSIONS else "image" if ending in IMAGE_EXTENSIONS else None


def _turns(record: Mapping[str, Any]) -> list[tuple[Role, str]]:
    key = next((key for key in TURNS if record.get(key) is not None), None)
    if key is None and record.keys() >= _QUESTION:
        raise _Unusable(
            "is a question with options, as Q-Bench-Video's: `python -m evaluate questions` asks it"
        )
    if key is None:
        raise _Unusable(f"has no `conversations`; it has: {some(list(record)) or 'nothing'}")
    turns = record[key]
    if not isinstance(turns, list) or not turns:
        raise _Unusable(f"`{key}` is {_short(turns)}, expected a list of turns")
    return [_turn(number, turn) for number, turn in enumerate(turns, start=1)]


def _turn(number: int, turn: Any) -> tuple[Role, str]:
    if not isinstance(turn, Mapping):
        raise _Unusable(f"turn {number} is {_short(turn)}, expected an object with `from` and `value`")
    said = turn.get("from", turn.get("role"))
    role = _ROLES.get(said.strip("\ufeff ").lower()) if isinstance(said, str) else None
    if role is None:
        raise _Unusable(f"turn {number} is from {_short(said)}, expected {', '.join(_ROLES)}")
    value = turn.get("value", turn.get("content"))
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        value = json.dumps(value)
    if not isinstance(value, str):
        raise _Unusable(f"turn {number} says {_short(value)}, expected text or a number")
    text = value.replace("\ufeff", "").strip()
    if reserved := _RESERVED.search(text):
        raise _Unusable(f"turn {number} has {reserved[0]!r}, which stands for something else here")
    if role == "assistant" and not text:
        raise _Unusable(f"turn {number}: the answer is empty")
    return role, text


def _alternating(turns: Sequence[tuple[Role, str]]) -> list[tuple[Role, str]]:
    """The turns, checked: a system prompt at most, then user and assistant by turns, an answer last."""
    system = [turn for turn in turns[:1] if turn[0] == "system"]
    first = len(system)
    rest = list(turns[first:])
    if rest and rest[0][0] == "assistant":
        first, rest = first + 1, rest[1:]
    for number, (role, _) in enumerate(rest):
        expected = "assistant" if number % 2 else "user"
        if role != expected:
            raise _Unusable(f"turn {first + number + 1} is the {role}'s, expected the {expected}'s")
    if not rest:
        raise _Unusable("has no question with an answer")
    if len(rest) % 2:
        raise _Unusable("ends with a question that has no answer")
    return [*system, *rest]


def _with_slots(turns: Sequence[tuple[Role, str]], kinds: Sequence[str]) -> tuple[Turn, ...]:
    """The turns with the media (of these kinds) in their slots."""
    if not kinds:
        raise _Unusable("names no video or image")
    for number, (role, text) in enumerate(turns, start=1):
        if role == "assistant" and _SLOT.search(text):
            raise _Unusable(
                f"answer {number // 2} has a slot for a medium, expected slots in questions alone"
            )
    marks = [mark for _, text in turns for mark in _SLOT.findall(text)]
    if not marks:
        before = tuple(part for medium in range(len(kinds)) for part in (Slot(medium), "\n"))
        made = [Turn(role, (text,) if text else ()) for role, text in turns]
        first = next(number for number, turn in enumerate(made) if turn.role == "user")
        made[first] = replace(made[first], parts=(*before, *made[first].parts))
        return tuple(made)
    slots = iter(_slots(marks, kinds))
    return tuple(Turn(role, _cut(text, slots)) for role, text in turns)


def _slots(marks: Sequence[str], kinds: Sequence[str]) -> list[Slot]:
    if len(marks) == len(kinds):
        asked = ["video" if "video" in mark else "image" for mark in marks]
        order = {kind: iter([n for n, own in enumerate(kinds) if own == kind]) for kind in ("video", "image")}
        if sorted(asked) == sorted(kinds):  # each kind's own in its order
            return [Slot(next(order[kind])) for kind in asked]
        return [Slot(medium) for medium in range(len(kinds))]
    if len(marks) == 2 * len(kinds):
        return [Slot(number // 2, number % 2, 2) for number in range(len(marks))]
    raise _Unusable(
        f"has {len(marks)} slots for {len(kinds)} media: expected none, one for each, or two for each (key"
        " frames and motion)"
    )


def _cut(text: str, slots: Any) -> tuple[str | Slot, ...]:
    parts: list[str | Slot] = []
    for number, piece in enumerate(_SLOT.split(text)):
        parts += [next(slots)] if number else []
        parts += [piece] if piece else []
    return tuple(parts)


def _short(value: Any) -> str:
    text = shown(repr(value))
    return text if len(text) <= 60 else f"{text[:60]}…"
