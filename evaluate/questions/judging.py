"""Open answers judged by another model: 0, 1 or 2 against the reference, several times each.

After Q-Bench-Video's protocol (Zhang et al., CVPR 2025): five judgements of correctness, completeness and
relevance; an answer's score is their mean over two.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from evaluate.errors import JudgeError
from evaluate.scoring.keeping import keep, kept_records
from store.labels.records import read_records

PROMPT_VERSION = 1
"""To be raised with every change of the prompt."""
_SYSTEM = (
    "You compare an answer about the quality of a video with a reference. You see the question, the reference"
    " and the answer, not the video. The reference is true."
)
_ASKED = (
    "Question: {question}\nReference: {reference}\nAnswer: {response}\n\n"
    "Consider whether the answer is correct, complete and to the point. Give 2 where it says what the"
    " reference says, 1 where it does so in part, 0 where it contradicts it or misses the question."
    " Write the number alone."
)
_MARK = re.compile(r"(?<![\w.])([012])(?![\w.]*\d)")
_NEEDED = ("number", "question", "reference", "response")


class Judge(Protocol):
    """A model that answers a prompt."""

    name: str
    """As it is recorded: the model, and where it runs."""

    def __call__(self, system: str, user: str, repeat: int) -> str:
        """What it writes. Judgements of one answer differ in `repeat`. Raises JudgeError."""
        ...


@dataclass(frozen=True)
class Judgement:
    """One judgement of one answer."""

    number: int
    """Of the answer among those exported, from 1."""
    repeat: int
    mark: int | None
    """0, 1, 2; None where the judge wrote none."""
    written: str


@dataclass(frozen=True)
class Judged:
    """All judgements of a file of answers."""

    judge: str
    answers: Sequence[dict[str, Any]]
    judgements: Sequence[Judgement]

    def as_json(self) -> dict[str, Any]:
        """Scores in 0–1: of all answers, by category; how many judgements say no number."""
        marks: dict[int, list[int]] = defaultdict(list)
        for each in self.judgements:
            if each.mark is not None:
                marks[each.number].append(each.mark)
        scores = {number: fmean(found) / 2 for number, found in marks.items()}
        kinds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for number, answer in enumerate(self.answers, start=1):
            if number in scores:
                for kind, names in (answer.get("categories") or {}).items():
                    for name in names:
                        kinds[kind][name].append(scores[number])
        return {
            "judge": self.judge,
            "prompt": prompt_version(),
            "answers": len(self.answers),
            "judged": len(scores),
            "repeats": max((each.repeat for each in self.judgements), default=0),
            "without_mark": sum(each.mark is None for each in self.judgements),
            "score": fmean(scores.values()) if scores else None,
            "categories": {
                kind: {name: fmean(found) for name, found in sorted(names.items())}
                for kind, names in kinds.items()
            },
        }


def prompt_version() -> str:
    """Number and digest of the prompt."""
    digest = hashlib.sha256(f"{_SYSTEM}\n{_ASKED}".encode()).hexdigest()[:12]
    return f"{PROMPT_VERSION}-{digest}"


def read_answers(path: Path) -> list[dict[str, Any]]:
    """What `python -m evaluate questions` exported. Raises JudgeError, and what `read_records` raises."""
    answers = []
    for line, record in read_records(path):
        if not isinstance(record, dict) or any(record.get(key) is None for key in _NEEDED):
            raise JudgeError(f"{path}, line {line}: expected an answer with {', '.join(_NEEDED)}")
        answers.append(record)
    return answers


def judge_all(path: Path, judge: Judge, repeats: int = 5) -> Iterator[Judgement]:
    """Every judgement of the answers in a file; those already made, by this judge and prompt, are kept.

    They lie beside the file, in `NAME.judged.jsonl`, each from the moment that it is made. Raises JudgeError.
    """
    kept = path.with_suffix(".judged.jsonl")
    answers = read_answers(path)
    known = dict(_kept(kept))
    for number, answer in enumerate(answers, start=1):
        user = _ASKED.format(**{key: answer[key] for key in _NEEDED})
        asked = hashlib.sha256(user.encode()).hexdigest()[:16]
        for repeat in range(1, repeats + 1):
            key = (judge.name, prompt_version(), asked, repeat)
            if key not in known:
                known[key] = judge(_SYSTEM, user, repeat)
                record = dict(zip(_KEY, key, strict=True)) | {"written": known[key]}
                keep(kept, record)
            yield Judgement(number, repeat, mark_in(known[key]), known[key])


_KEY = ("judge", "prompt", "asked", "repeat")


def _kept(path: Path) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Judgements that were made before."""
    for record in kept_records(path):
        if isinstance(record.get("written"), str):
            yield tuple(record.get(key) for key in _KEY), record["written"]


def mark_in(written: str) -> int | None:
    """The first 0, 1 or 2 that stands by itself."""
    found = _MARK.search(written)
    return int(found[1]) if found else None
