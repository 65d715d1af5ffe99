"""feature.json: the specification behind a feature set's key."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from store.durable.commit import write_file
from store.errors import DamagedFeatureSet, NewerFormat
from store.format.marker import FORMAT

DESCRIPTION = "feature.json"


def write_specification(file: Path, specification: Mapping[str, Any]) -> None:
    """Write a feature.json durably."""
    description = {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "specification": specification,
    }
    write_file(file, json.dumps(description, indent=2).encode())


def read_specification(file: Path) -> dict[str, Any]:
    """The specification in a feature.json. Raises DamagedFeatureSet, NewerFormat."""
    try:
        description = json.loads(file.read_bytes())
        version, specification = description["format"], dict(description["specification"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFeatureSet(f"{file} cannot be read as a specification: {error!r}") from None
    if not isinstance(version, int) or version > FORMAT:
        raise NewerFormat(
            f"{file} has format {version!r}; this version reads up to {FORMAT}: update this program"
        )
    return specification
