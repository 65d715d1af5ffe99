"""Evaluate a trained run on a dataset of conversations: what it writes beside the answers that they have."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from config.schema import DatasetSettings
from evaluate.metrics.texts import TextFigures, text_figures
from evaluate.scoring.answered import Answered, answer_conversations
from evaluate.scoring.model import run_reader
from store.durable.commit import write_file
from store.features import FeatureStore
from train.data.dialogues import dialogue_samples
from train.errors import RunError
from train.pretrained import TrainedModel

MOST_TOKENS = 128
"""Of an answer."""


@dataclass(frozen=True)
class ConversationEvaluation:
    """All conversations of a split, with what the model wrote last."""

    dataset: str
    part: str
    answers: list[Answered]
    tasks: dict[str, TextFigures]
    """By what is asked (the records' `task_mark`), where records say it; and `all`."""
    missing: list[str]
    """Conversations without features, by where they stand in the labels."""

    @property
    def problems(self) -> dict[str, str]:
        """Conversations that nothing was written to: where they stand → why. They count as wrong."""
        return {each.sample.video: each.problem for each in self.answers if each.problem is not None}

    def as_json(self) -> dict[str, Any]:
        """Plain data, without the answers."""
        return {
            "dataset": self.dataset,
            "part": self.part,
            "n": len(self.answers),
            "tasks": {name: asdict(figures) for name, figures in self.tasks.items()},
            "missing": self.missing,
            "problems": self.problems,
        }

    def table(self) -> str:
        """The figures for a person."""
        rows = [
            [name, each.n, each.right, each.numbers_off, each.without_numbers or None]
            for name, each in self.tasks.items()
        ]
        headers = [f"{self.dataset}, {self.part}", "n", "right", "numbers off (median)", "without numbers"]
        return tabulate(rows, headers, floatfmt=".3f", missingval="–")


def evaluate_conversations(
    trained: TrainedModel,
    store: FeatureStore,
    dataset: DatasetSettings,
    part: str = "test",
    *,
    quiet: bool = False,
) -> ConversationEvaluation:
    """Ask what each conversation of the split asks last, and compare.

    Raises RunError where the split has no conversation, FeaturesMissingError where none has features, and
    what `answer_conversations` raises.
    """
    reader = run_reader(trained, store, dataset)
    found = dialogue_samples(trained.settings, dataset, reader)
    samples = found.parts.get(part, [])
    if not samples:
        there = ", ".join(name for name, each in found.parts.items() if each)
        raise RunError(
            f"{dataset.name} has no conversation with features in its split {part!r}; it has {there}"
        )
    answers = list(answer_conversations(trained, samples, reader, MOST_TOKENS, quiet=quiet))
    marks = sorted({each.sample.mark for each in answers} - {""})
    tasks = {mark: _figures([each for each in answers if each.sample.mark == mark]) for mark in marks}
    return ConversationEvaluation(
        dataset.name, part, answers, {**tasks, "all": _figures(answers)}, found.missing
    )


def write_answers(folder: Path, evaluation: ConversationEvaluation) -> None:
    """Write answers.jsonl and metrics.json."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(_line(each), ensure_ascii=False) + "\n" for each in evaluation.answers)
    write_file(folder / "answers.jsonl", lines.encode())
    write_file(folder / "metrics.json", json.dumps(evaluation.as_json(), indent=2).encode())


def _figures(answers: Sequence[Answered]) -> TextFigures:
    return text_figures([each.true for each in answers], [each.written for each in answers])


def _line(each: Answered) -> dict[str, Any]:
    return {
        "conversation": each.sample.video,
        "videos": [medium.video for medium in each.sample.media],
        "task": each.sample.mark,
        "true": each.true,
        "written": each.written,
        "problem": each.problem,
    }
