"""`python -m train data`: conversations that are trained on, looked at and made."""

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from config import cli
from config.errors import count
from config.load import DEFAULT_FILE, load_settings, lookup
from store.durable.commit import write_file
from store.labels.conversations import read_conversations
from store.labels.dataset import labelled_split

app = cli.command_app(
    "Conversations to train on: which records of a file can be used; made from opinion scores."
)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="JSON, JSONL, or a Hugging Face dataset on disk.")],
    json: cli.Json = False,
) -> None:
    """Say how many of a file's conversations can be used, and of each other one the line and the reason."""
    found = read_conversations(file)
    if json:
        cli.print_json(found.as_json())
        return
    print(f"{file}: {count(found.records, 'record')}, {len(found.used):,} used, {len(found.reported):,} not")
    for each in found.reported:
        print(f"  line {each.line}: {each.reason}")


@app.command()
def make(
    dataset: Annotated[str, typer.Argument(help="A dataset with opinion scores, of pipelines.toml.")],
    file: Annotated[Path, typer.Argument(help="A new JSONL file.")],
    task: Annotated[list[str] | None, typer.Option(help="A task that is asked about each video.")] = None,
    pairs: Annotated[int, typer.Option(min=0, help='So many times "which of two is better".')] = 0,
    least_difference: Annotated[float, typer.Option(min=0, help="Of a pair's scores, on 0–100.")] = 5.0,
    split: Annotated[str, typer.Option(help="Whose labels: train, val, test or another.")] = "train",
    seed: Annotated[int, typer.Option(help="What is drawn follows from it.")] = 0,
    overrides: cli.Overrides = None,
    config: cli.Config = DEFAULT_FILE,
    json: cli.Json = False,
) -> None:
    """Make conversations from a dataset's labels: questions of tasks, and pairs."""
    from train.data.making import made_conversations

    settings = load_settings(config, overrides or [])
    own = lookup(settings.datasets, dataset, "dataset")
    tasks = {name: lookup(settings.tasks, name, "task") for name in task or []}
    labels = lookup(labelled_split(own), split, "split")
    records = list(made_conversations(own, labels, tasks, pairs, least_difference, seed))
    lines = (jsonlib.dumps(record, ensure_ascii=False) for record in records)
    write_file(file, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    if json:
        cli.print_json({"file": str(file), "records": len(records)})
    else:
        print(f"{file}: {count(len(records), 'record')}")
