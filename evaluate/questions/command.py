"""`python -m evaluate questions`: a benchmark's questions, asked of a run."""

from pathlib import Path
from typing import Annotated

import typer

from config import cli
from config.load import EMBEDDED_MODEL
from evaluate.options import Device, RunOption


def questions(
    file: Annotated[Path, typer.Argument(help="Q-Bench-Video's JSON, or conversations (.json, .jsonl).")],
    videos: Annotated[Path, typer.Option(help="The folder of the videos that the file names.")],
    run: RunOption = EMBEDDED_MODEL,
    out: Annotated[
        Path | None,
        typer.Option(
            show_default=False,
            help="Folder of metrics.json, answers.jsonl, open.jsonl; runs/questions/FILE where not given.",
        ),
    ] = None,
    open_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an open answer.")] = 128,
    device: Device = "auto",
    json: cli.Json = False,
) -> None:
    """Ask a run the questions of a benchmark: accuracy by category, open answers for a judge.

    Options are chosen twice: the likeliest as an answer, and the one whose letter the answer begins with.
    """
    from tqdm import tqdm

    from evaluate.questions.asking import ask_all
    from evaluate.questions.outcome import Outcome, write_outcome
    from evaluate.questions.reading import read_questions
    from evaluate.score import load_trained
    from train.saving.folder import writing

    found = read_questions(file)
    asked = ask_all(load_trained(run, device), found.asked, videos, open_tokens)
    progress = tqdm(asked, total=len(found.asked), desc="questions", disable=json)
    outcome = Outcome(found, sorted(progress, key=lambda each: each.question.number))
    folder = out or Path("runs") / "questions" / file.stem
    with writing(folder):
        write_outcome(folder, outcome)
    if json:
        cli.print_json({**outcome.as_json(), "folder": str(folder)})
        return
    print(outcome.table())
    print(f"{folder}: every answer, and open.jsonl for a judge")
