"""What came of a benchmark's questions: accuracy by category, answers, what is left for a judge."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from tabulate import tabulate

from config.errors import count
from evaluate.questions.asking import Asked
from evaluate.questions.question import Question, Questions
from evaluate.questions.vcgbench import predictions
from store.durable.commit import write_file

WAYS: dict[str, Callable[[Asked], str | None]] = {
    "likelihood": lambda asked: asked.likeliest,
    "letter": lambda asked: asked.letter,
}
"""How an option is read from the model."""

PREDICTIONS = "predictions.json"
KEPT = "kept.jsonl"
"""What was answered so far, for a run that was stopped."""


@dataclass(frozen=True)
class Outcome:
    """All questions of a file, in its order, with what the model said."""

    questions: Questions
    asked: Sequence[Asked]
    of: Mapping[str, str] = field(default_factory=dict)
    """Whose answers they are, to which file."""

    @property
    def closed(self) -> list[Asked]:
        """Those with options that were asked."""
        return [each for each in self.asked if each.question.closed and each.problem is None]

    @property
    def open(self) -> list[Asked]:
        """Those without that were asked."""
        return [each for each in self.asked if not each.question.closed and each.problem is None]

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """The records of VCGBench that were answered, with the answers."""
        return predictions(self.questions, self.asked)

    def as_json(self) -> dict[str, Any]:
        """Figures, and every record that is peculiar, by its number in the file."""
        every = self.questions.asked
        closed = [each.question for each in self.closed]
        return {
            **self.of,
            "questions": len(every),
            "closed": sum(question.closed for question in every),
            "open": sum(not question.closed for question in every),
            "inconsistent": len(self.questions.inconsistent),
            "scored": len(closed),
            "exported": len(self.open),
            "predicted": len(self.predictions),
            "accuracy": {way: self.accuracy(read) for way, read in WAYS.items()},
            "chance": fmean(1 / len(question.options) for question in closed) if closed else None,
            "counts": {
                kind: {name: len(rights) for name, rights in names.items()}
                for kind, names in self._by_category(WAYS["letter"]).items()
            },
            "undecided": {way: sum(read(each) is None for each in self.closed) for way, read in WAYS.items()},
            "inconsistencies": [
                {"number": each.number, "videos": each.videos, "reason": each.inconsistent}
                for each in self.questions.inconsistent
            ],
            "unusable": [asdict(each) for each in self.questions.unusable],
            "not_asked": [
                {"number": each.question.number, "videos": each.question.videos, "reason": each.problem}
                for each in self.asked
                if each.problem is not None
            ],
        }

    def accuracy(self, read: Callable[[Asked], str | None]) -> dict[str, Any]:
        """Share of right options: of all, of those whose record does not contradict itself, by category."""
        rights = [read(each) == each.question.right for each in self.closed]
        sound = [read(each) == each.question.right for each in self.closed if not each.question.inconsistent]
        return {
            "all": _share(rights),
            "consistent": _share(sound),
            **{
                kind: {name: _share(found) for name, found in names.items()}
                for kind, names in self._by_category(read).items()
            },
        }

    def _by_category(self, read: Callable[[Asked], str | None]) -> dict[str, dict[str, list[bool]]]:
        """Kind of category → category → whether each of its questions is right."""
        found: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
        for each in self.closed:
            for kind, names in each.question.categories.items():
                for name in names:
                    found[kind][name].append(read(each) == each.question.right)
        return {kind: dict(sorted(names.items())) for kind, names in found.items()}

    def table(self) -> str:
        """The figures for a person."""
        figures = self.as_json()
        accuracy = figures["accuracy"]
        rows: list[list[object]] = [
            ["all", "", figures["scored"], *(accuracy[way]["all"] for way in WAYS)],
            ["", "consistent", sum(not e.question.inconsistent for e in self.closed)]
            + [accuracy[way]["consistent"] for way in WAYS],
        ]
        for kind, names in figures["counts"].items():
            rows += [
                [kind if not place else "", name, n, *(accuracy[way][kind][name] for way in WAYS)]
                for place, (name, n) in enumerate(names.items())
            ]
        head = (
            f"{count(figures['questions'], 'question')}: {figures['closed']:,} with options,"
            f" {figures['open']:,} open; {figures['inconsistent']} contradict themselves"
        )
        lines = [head]
        if self.closed:
            lines.append(tabulate(rows, ["accuracy", "", "n", *WAYS], floatfmt=".3f", missingval="–"))
        if figures["chance"] is not None:
            lines.append(f"chance {figures['chance']:.3f}")
        for what, text in (("unusable", "not usable"), ("not_asked", "not asked")):
            # A record of two questions is named once.
            named = {f"record {each['number']} is {text}: {each['reason']}": None for each in figures[what]}
            lines += list(named)[:10]
            if len(named) > 10:
                lines.append(f"… {len(named):,} records in all are {text}")
        return "\n".join(lines)


def _share(rights: Sequence[bool]) -> float | None:
    return fmean(rights) if rights else None


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write metrics.json, answers.jsonl, open.jsonl of open questions, which a judge reads.

    Of VCGBench also predictions.json, which its own evaluation scripts read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "metrics.json", json.dumps(outcome.as_json(), indent=2).encode())
    write_file(folder / "answers.jsonl", _lines(map(_answer, outcome.asked)))
    write_file(folder / "open.jsonl", _lines(map(_exported, outcome.open)))
    if outcome.questions.records:
        write_file(folder / PREDICTIONS, json.dumps(outcome.predictions, indent=1).encode())


def _lines(records: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def _answer(asked: Asked) -> dict[str, Any]:
    question = asked.question
    return {
        **_named(question),
        "options": dict(question.options),
        "right": question.right,
        "likelihoods": asked.likelihoods,
        **({way: read(asked) for way, read in WAYS.items()} if question.closed else {}),
        "written": asked.written,
        "problem": asked.problem,
    }


def _exported(asked: Asked) -> dict[str, Any]:
    return {
        **_named(asked.question),
        "reference": asked.question.reference,
        "response": asked.written,
        "categories": {kind: list(names) for kind, names in asked.question.categories.items()},
    }


def _named(question: Question) -> dict[str, Any]:
    return {"number": question.number, "videos": list(question.videos), "question": question.text}
