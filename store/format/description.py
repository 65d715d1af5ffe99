"""store.json, which says that a store was made here, and feature.json: the specification behind a key."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from store.errors import DamagedFeatureSet, NewerFormat
from store.format.marker import FORMAT

DESCRIPTION = "feature.json"
STORE = "store.json"


def description(specification: Mapping[str, Any]) -> bytes:
    """What is in a feature.json."""
    return _file({"specification": specification})


def store_description() -> bytes:
    """What is in a new store's store.json."""
    return _file({"id": uuid.uuid4().hex})


def _file(content: Mapping[str, Any]) -> bytes:
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"format": FORMAT, "created": created, **content}, indent=2).encode()


def parse_specification(file: str, data: bytes) -> dict[str, Any]:
    """The specification in a feature.json's bytes. Raises DamagedFeatureSet, NewerFormat, naming the file."""
    try:
        content = json.loads(data)
        version, specification = content["format"], dict(content["specification"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFeatureSet(f"{file} cannot be read as a specification: {error!r}") from None
    if not isinstance(version, int) or version > FORMAT:
        raise NewerFormat(
            f"{file} has format {version!r}; this version reads up to {FORMAT}: update this program"
        )
    return specification
