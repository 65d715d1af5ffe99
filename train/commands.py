"""`python -m train data`: conversations that are trained on, looked at."""

from pathlib import Path
from typing import Annotated

import typer

from config import cli
from config.errors import count
from store.labels.conversations import read_conversations

app = cli.command_app("Conversations to train on: which records of a file can be used.")


@app.callback()
def _data() -> None:
    """So that a single command keeps its name."""


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
