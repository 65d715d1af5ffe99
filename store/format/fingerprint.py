"""Specifications: their short, stable keys, and the files that hold them; hashes of sets of videos."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from store.errors import DamagedFeatureSet, InvalidSpecification
from store.format.layout import FORMAT, require_format

KEY_LENGTH = 12
DESCRIPTION = "feature.json"
"""Holds the specification behind a feature set's key."""
STORE = "store.json"
"""Says that a store was made here."""


def canonical_json(value: Any) -> str:
    """JSON text that equal values share, whatever the order of their keys. Tuples equal lists.

    Raises InvalidSpecification where a value is not plain, finite JSON.
    """
    _require_text_keys(value)
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidSpecification(f"expected plain JSON values: {error}") from None


def fingerprint(specification: Mapping[str, Any]) -> str:
    """12 hexadecimal digits of the SHA-256 of the specification's canonical JSON."""
    return _digest(canonical_json(specification))


def subset_hash(videos: Iterable[str]) -> str:
    """12 hexadecimal digits that two people can compare to see whether they hold the same videos.

    SHA-256 over the sorted ids, each followed by a newline (which no id holds).
    """
    return _digest("".join(f"{video}\n" for video in sorted(set(videos))))


def content_hash(videos: Iterable[tuple[str, Mapping[str, int]]]) -> str:
    """12 hexadecimal digits that agree where the same videos have the same features, however these lie.

    `videos`: each with stream → crc32c. SHA-256 over one line of canonical JSON a video, in the order of ids.
    """
    return _digest(
        "".join(f"{canonical_json([video, sums])}\n" for video, sums in sorted(videos, key=itemgetter(0)))
    )


def description(specification: Mapping[str, Any]) -> bytes:
    """What is in a feature.json."""
    return _file({"specification": specification})


def store_description() -> bytes:
    """What is in a new store's store.json."""
    return _file({"id": uuid.uuid4().hex})


def parse_specification(file: str, data: bytes) -> dict[str, Any]:
    """The specification in a feature.json's bytes. Raises DamagedFeatureSet, NewerFormat, naming the file."""
    try:
        content = json.loads(data)
        require_format(file, content["format"])
        return dict(content["specification"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFeatureSet(f"{file} cannot be read as a specification: {error!r}") from None


def _file(content: Mapping[str, Any]) -> bytes:
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"format": FORMAT, "created": created, **content}, indent=2).encode()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:KEY_LENGTH]


def _require_text_keys(value: Any) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidSpecification(f"expected text as the keys of JSON objects, found {key!r}")
            _require_text_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _require_text_keys(item)
