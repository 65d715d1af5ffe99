"""JSON in which labels are passed around, as flat objects: lists of them, annotations, conversations."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.errors import refusing
from store.labels.errors import LabelLayoutError

Entry = Mapping[str, Any]

_SCORE_KEYS = ("mos", "score", "gt_score")
_ASKING = frozenset({"human", "user", "system"})
# No part of a word, as in 1080p.
_NUMBER = re.compile(r"(?<![\w.])[-+]?[0-9]++(?:[.,][0-9]+)?+(?!\w)")
# As in `10004473376.jpg->77.38`.
_SCORE_IN_ID = re.compile(r".*->\s*([-+]?[0-9.]+)")


def read_entries(path: Path) -> list[Entry]:
    """The objects in a JSON list, in the first list of a JSON object, or on the lines of a .jsonl file.

    Of an entry with `conversations` (turns of `from` and `value`), the video is its `video` or `image`, and
    the score is a field of it; or, where no entry has such a field, follows `->` in its `id` or is the one
    number that its answers state. Raises LabelLayoutError, and what json and codecs raise.
    """
    content: Any
    if path.suffix.lower() == ".jsonl":
        content = []
        for i, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
            with refusing(LabelLayoutError, f"{path}, line {i} cannot be read as JSON"):
                content += [json.loads(line)] if line.strip() else []
    else:
        content = json.loads(path.read_bytes())
    lists = [content, *(content.values() if isinstance(content, dict) else [])]
    entries = next((value for value in lists if isinstance(value, list)), None)
    if entries is None or not all(isinstance(entry, dict) for entry in entries):
        raise LabelLayoutError(
            f"{path} begins with {str(content)[:40]!r}: expected a list of objects, as in"
            ' [{"video": "a.mp4", "mos": 3.5}]'
        )
    scored = any(key.casefold() in _SCORE_KEYS for entry in entries for key in entry)
    return [
        _flat(entry, f"{path}, entry {i}", scored) if isinstance(entry.get("conversations"), list) else entry
        for i, entry in enumerate(entries, start=1)
    ]


def _flat(entry: Entry, where: str, scored: bool) -> Entry:
    flat = {key: value for key, value in entry.items() if key not in ("conversations", "video", "image")}
    if (video := entry.get("video", entry.get("image"))) is not None:
        names = video if isinstance(video, list) else [video]
        if len(names) != 1:
            raise LabelLayoutError(f"{where} names {len(names)} videos, expected one for each score")
        flat = {"video": names[0], **flat}
    return flat if scored else {"mos": _score(entry), **flat}


def _score(entry: Entry) -> Any:
    if in_id := _SCORE_IN_ID.fullmatch(str(entry.get("id"))):
        return in_id[1]
    turns = [turn for turn in entry["conversations"] if isinstance(turn, dict)]
    answers = [turn.get("value", turn.get("content")) for turn in turns if turn.get("from") not in _ASKING]
    if len(answers) == 1 and isinstance(answers[0], float):
        return answers[0]
    # Several make no score: this is no number.
    return " and ".join(number for answer in answers for number in _NUMBER.findall(str(answer)))
