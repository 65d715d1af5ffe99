"""Files that a person wants scored, and how their scores are shown."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from tabulate import tabulate

from evaluate.scoring.model import FilePrediction
from store.labels.errors import shown as printable
from store.labels.folder import require_videos
from train.inference.predict import TaskAnswer


@dataclass(frozen=True)
class _Shown:
    video: str
    score: float | None
    std: float | None
    distance: float | None
    """How far the features lie from the training videos'; more than 1 is unusual."""
    level: str | None
    text: str | None
    error: str | None
    warnings: tuple[str, ...]
    answers: Mapping[str, float | str | None] = field(default_factory=dict)
    """Task → number, word or text."""


def expand(paths: Sequence[Path]) -> list[Path]:
    """The files asked for; of a folder, every video in it. What does not exist is kept, to be reported.

    Raises VideoFolderError at a folder without any.
    """
    files: list[Path] = []
    for path in paths:
        files += require_videos(path) if path.is_dir() else [path]
    return files


def render(outcomes: Sequence[FilePrediction], form: Literal["plain", "json", "csv"]) -> str:
    """One row for each file: video, score and std on 0–100, distance, level, written text, error, warnings.

    In plain text, the warnings follow the table.
    """
    shown = [_shown(outcome) for outcome in outcomes]
    if form == "json":
        return json.dumps([asdict(row) for row in shown], indent=2)
    if form == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(_Shown.__annotations__), lineterminator="\n")
        writer.writeheader()
        cells = ({"warnings": "; ".join(row.warnings), "answers": json.dumps(row.answers)} for row in shown)
        writer.writerows(asdict(row) | cell for row, cell in zip(shown, cells, strict=True))
        return text.getvalue().rstrip("\n")
    rows = [
        [printable(row.video), row.score, row.std, row.level or "–", row.error or row.text] for row in shown
    ]
    headers = ["video", "score (0–100)", "±", "level", "answer"]
    table = tabulate(rows, headers, floatfmt=".1f", missingval="–")
    return "\n".join([table, *(f"{printable(row.video)}: {text}" for row in shown for text in row.warnings)])


def _shown(outcome: FilePrediction) -> _Shown:
    found = outcome.prediction
    if found is None:
        return _Shown(str(outcome.video), None, None, None, None, None, outcome.error, ())
    numbers = found.score, found.std, found.distance
    score, std, distance = (None if value is None else round(value, 2) for value in numbers)
    answers = {name: _said(answer) for name, answer in found.answers.items()}
    text = found.text or "; ".join(f"{name}: {said}" for name, said in answers.items())
    return _Shown(
        str(outcome.video), score, std, distance, found.level, text, None, outcome.warnings, answers
    )


def _said(answer: TaskAnswer) -> float | str | None:
    """The number or word, or else the text."""
    value = answer.text if answer.value is None else answer.value
    return round(value, 2) if isinstance(value, float) else value
