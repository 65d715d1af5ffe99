"""`python -m evaluate questions` and `judge`: a benchmark's questions, and open answers to them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from config import cli
from config.errors import count
from config.load import EMBEDDED_MODEL
from evaluate.options import Device, RunOption


def questions(
    file: Annotated[Path, typer.Argument(help="Q-Bench-Video's or VCGBench's JSON, or conversations.")],
    videos: Annotated[Path, typer.Option(help="The folder of the videos that the file names.")],
    run: RunOption = EMBEDDED_MODEL,
    out: Annotated[
        Path | None,
        typer.Option(
            show_default=False,
            help="Folder of metrics.json, answers.jsonl, open.jsonl and, of VCGBench, predictions.json;"
            " runs/questions/FILE-RUN where not given.",
        ),
    ] = None,
    open_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an open answer.")] = 128,
    device: Device = "auto",
    json: cli.Json = False,
) -> None:
    """Ask a run the questions of a benchmark: accuracy by category, open answers for a judge.

    Options are chosen twice: the likeliest as an answer, and the one whose letter the answer begins with.
    Answers are kept as they are given; run again, it continues.
    """
    from tqdm import tqdm

    from evaluate.questions.asking import ask_all
    from evaluate.questions.outcome import KEPT, PREDICTIONS, Outcome, write_outcome
    from evaluate.questions.reading import read_questions
    from evaluate.scoring.keeping import answered_by
    from evaluate.scoring.model import load_trained, unpractised
    from train.saving.folder import writing

    found, trained = read_questions(file), load_trained(run, device)
    folder = out or Path("runs") / "questions" / f"{file.stem}-{trained.folder.resolve().name}"
    for warning in (warnings := unpractised(trained)):
        print(warning, file=sys.stderr)
    asked = ask_all(trained, found.asked, videos, open_tokens, folder / KEPT)
    progress = tqdm(asked, total=len(found.asked), desc="questions", disable=json)
    order = {id(question): place for place, question in enumerate(found.asked)}
    answers = sorted(progress, key=lambda each: order[id(each.question)])
    outcome = Outcome(found, answers, {"file": str(file), **answered_by(trained)})
    with writing(folder):
        write_outcome(folder, outcome)
    if json:
        cli.print_json({**outcome.as_json(), "folder": str(folder), "warnings": warnings})
        return
    print(outcome.table())
    print(f"{folder}: every answer, and open.jsonl for a judge")
    if found.records:
        records = count(len(found.records) + len(found.unusable), "record")
        predicted = f"{len(outcome.predictions):,} of {records}"
        print(f"{folder / PREDICTIONS}: {predicted}, as VCGBench's scripts read them")


def judge(
    answers: Annotated[Path, typer.Argument(help="open.jsonl of `python -m evaluate questions`.")],
    model: Annotated[
        str, typer.Option(help="The judge: a model of the endpoint; without one a folder, or a hub id.")
    ],
    endpoint: Annotated[
        str | None,
        typer.Option(
            show_default=False, help="An OpenAI-compatible server, such as http://localhost:8000/v1."
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Judgements of each answer.")] = 5,
    temperature: Annotated[
        float | None,
        typer.Option(show_default=False, help="Of sampling; the server's own, or 1, where not given."),
    ] = None,
    key_variable: Annotated[
        str, typer.Option(help="The environment variable that holds the server's key.")
    ] = "OPENAI_API_KEY",
    device: Device = "auto",
    json: cli.Json = False,
) -> None:
    """Let a language model judge open answers against their references: 0, 1 or 2, several times each.

    Judgements are kept beside the answers as they are made; run again, it continues.
    """
    from tqdm import tqdm

    from evaluate.questions.judges import Endpoint, LocalJudge
    from evaluate.questions.judging import Judge, Judged, judge_all, read_answers
    from extract.executors.devices import device_names

    asked = read_answers(answers)
    chosen: Judge
    if endpoint is None:
        chosen = LocalJudge(model, device_names(device)[0], temperature)
    else:
        chosen = Endpoint(endpoint, model, temperature, key_variable)
    made = judge_all(answers, chosen, repeats)
    progress = tqdm(made, total=len(asked) * repeats, desc="judgements", disable=json)
    found = Judged(chosen.name, asked, list(progress)).as_json()
    if json:
        cli.print_json(found)
        return
    score = "undefined" if found["score"] is None else f"{found['score']:.3f}"
    print(f"{found['judged']} of {found['answers']} answers, {found['repeats']} times each: score {score}")
    print(f"judge {found['judge']}, prompt {found['prompt']}; {found['without_mark']} without a number")
    for kind, names in found["categories"].items():
        print(f"  {kind}: " + ", ".join(f"{name} {value:.3f}" for name, value in names.items()))
