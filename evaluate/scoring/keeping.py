"""Answers and judgements are kept from the moment that they are given: who was stopped does not ask again."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from config.errors import refusing
from store.durable.commit import append_lines
from store.format.fingerprint import fingerprint
from store.labels.records import read_records
from train.errors import RunError
from train.pretrained import TrainedModel
from train.saving.digests import read_digests
from train.saving.folder import writing

_BEGINNING = b'{"key": "'


def keep(path: Path, record: Mapping[str, Any]) -> None:
    """Add a line to a file of JSON lines, which is made with its folder. Raises RunError."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        append_lines(path, (json.dumps(record) + "\n").encode())


def kept_records(path: Path) -> Iterator[dict[str, Any]]:
    """What the file holds; a line that was not written to its end is none."""
    if path.is_file() and path.stat().st_size:
        yield from (record for _, record in read_records(path) if isinstance(record, dict))


def require_kept(path: Path) -> None:
    """Raise RunError where the file holds something else than what `KeptAnswers` keeps, and is left so."""
    with refusing(RunError, f"{path} cannot be read as scores that were kept"):
        lines = path.read_bytes().splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        if not (line.startswith(_BEGINNING) or _BEGINNING.startswith(line)):  # it may have been cut off
            raise RunError(
                f"{path}: expected scores that were kept, one a line, but line {number} is something else:"
                " name another file, or one that is not there yet"
            )


def answered_by(trained: TrainedModel) -> dict[str, str]:
    """Which run answers, and by which weights."""
    return {
        "run": str(trained.folder),
        "checkpoint": trained.checkpoint.name,
        "weights": fingerprint(read_digests(trained.checkpoint)),
    }


class KeptAnswers:
    """What a model answered, by all that decides it: weights, settings, and what it was asked."""

    def __init__(self, path: Path | None, trained: TrainedModel) -> None:
        """None keeps nothing. Raises RunError, and what `read_records` raises."""
        self._path = path
        self._model = {"run": trained.run.ties, "weights": read_digests(trained.checkpoint)}
        self._known = {record.get("key"): record for record in (kept_records(path) if path else ())}

    def key(self, asked: Mapping[str, Any]) -> str:
        """Of an answer; `asked`: all of the question that decides it, as JSON."""
        return fingerprint({**self._model, "asked": asked})

    def get(self, key: str) -> Mapping[str, Any] | None:
        """The answer that was given before."""
        return self._known.get(key)

    def add(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep an answer. Raises RunError."""
        if self._path is not None:
            keep(self._path, {"key": key, **answer})
