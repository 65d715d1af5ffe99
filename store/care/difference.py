"""Why two feature sets differ: what their specifications say otherwise, and the videos that only one has."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from store.feature_set import FeatureSet

_ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """How feature set A differs from feature set B."""

    specification: list[str]
    """One line for each value that differs, `input.size: 224 → 336`; empty where the keys are equal."""
    only_a: list[str]
    only_b: list[str]
    common: int
    """Videos that both have."""
    subset_hash_a: str
    subset_hash_b: str


def difference(a: FeatureSet, b: FeatureSet) -> Difference:
    """Compare specifications and videos; the features themselves are not read."""
    videos_a, videos_b = set(a.videos()), set(b.videos())
    return Difference(
        changes(a.specification, b.specification),
        sorted(videos_a - videos_b),
        sorted(videos_b - videos_a),
        len(videos_a & videos_b),
        a.subset_hash(),
        b.subset_hash(),
    )


def changes(a: Any, b: Any, path: str = "") -> list[str]:
    """A line for each value that differs between two JSON values, such as `layer: 23 → 22`.

    Paths into objects are dotted, places in lists of equal length are in brackets, from 0.
    """
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        keys = sorted(a.keys() | b.keys())
        inner = [(f"{path}.{key}" if path else key, a.get(key, _ABSENT), b.get(key, _ABSENT)) for key in keys]
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        inner = [(f"{path}[{place}]", *pair) for place, pair in enumerate(zip(a, b, strict=True))]
    elif type(a) is type(b) and a == b:
        return []
    else:
        return [f"{path}: {_text(a)} → {_text(b)}"]
    return [line for where, left, right in inner for line in changes(left, right, where)]


def _text(value: Any) -> str:
    """A value for people: text without quotes, unless it could be taken for something else."""
    if value is _ABSENT:
        return "absent"
    if isinstance(value, str) and value.strip() == value != "absent" and not _is_json(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return text == ""
    return True
