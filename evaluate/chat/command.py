"""`python -m evaluate ask`: questions about videos, one after the other."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config import cli
from config.load import EMBEDDED_MODEL
from evaluate.options import Device, RunOption

if TYPE_CHECKING:
    from evaluate.chat.conversation import Part
    from evaluate.watching.watcher import Watched


def ask(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO…", help="The videos to talk about.")],
    question: Annotated[
        list[str] | None,
        typer.Option(
            "--question", "-q", help="A question; given again, a further turn. Without one, a conversation."
        ),
    ] = None,
    run: RunOption = EMBEDDED_MODEL,
    system: Annotated[
        str | None,
        typer.Option(show_default=False, help="What the model is told first; as in training if not given."),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 512,
    device: Device = "auto",
    json: cli.Json = False,
) -> None:
    """Ask about one video or several; answers are written as they come, and each turn knows those before.

    Questions that name a time ("between 3 and 5 s", "the last two seconds", "at 0:04") are about those
    seconds, of "the second video" or "video 2" where they name one; what was understood is said first. In a
    conversation an empty line ends it, and Ctrl-C an answer. Exits with status 1 where a question could not
    be asked; the others are.
    """
    from transformers import TextStreamer

    from config.errors import Problem
    from evaluate.chat.conversation import Interview
    from evaluate.scoring.model import load_trained, unpractised
    from evaluate.watching.watcher import Watcher

    trained = load_trained(run, device)
    for warning in (warnings := unpractised(trained)):
        print(warning, file=sys.stderr)
    watcher = Watcher(trained)
    watched = [watcher.watch(video) for video in videos]
    for each in watched:
        for warning in each.warnings:
            print(f"{each.video}: {warning}", file=sys.stderr)
    interview = Interview(trained, watcher, watched, system)
    turns: list[dict[str, Any]] = []
    for text in question or _lines():
        if question and not json:
            print(f"> {text}")
        try:
            _say_what_is_meant(interview.about(text), watched, json=json)
            streamer = None if json else TextStreamer(trained.tokenizer, skip_special_tokens=True)
            turn = interview.ask(text, streamer, max_new_tokens=max_tokens)
            turns.append({**asdict(turn), "error": None})
        except KeyboardInterrupt:
            if question or json:
                raise
            print("\nstopped; the question is forgotten", file=sys.stderr)
        except Problem as problem:
            print(problem, file=sys.stderr)
            turns.append({"question": text, "answer": None, "error": str(problem)})
    if json:
        cli.print_json(
            {
                "videos": [
                    {"video": str(each.video), "seconds": each.seconds, "warnings": each.warnings}
                    for each in watched
                ],
                "turns": turns,
                "warnings": warnings,
            }
        )
    if any(turn["error"] is not None for turn in turns):
        raise typer.Exit(1)


def _say_what_is_meant(about: Sequence["Part"], watched: Sequence["Watched"], *, json: bool = False) -> None:
    """Which seconds a question was understood to be about, and which of them there are not."""
    for part in about:
        if part.cut:
            each = watched[part.video - 1]
            print(
                f"{each.video} is {each.seconds:.1f} s long: what was asked is cut to {part.shown()}",
                file=sys.stderr,
            )
    if about and not json:
        shown = [part.shown() + (f" of video {part.video}" if len(watched) > 1 else "") for part in about]
        print(f"(about {', '.join(shown)})")


def _lines() -> Iterator[str]:
    """Questions from standard input, up to an empty line or its end."""
    if sys.stdin.isatty():
        import readline  # noqa: F401  (lines can be edited, and earlier ones come back)

        prompt = "> "
    else:
        prompt = ""
    while True:
        try:
            text = input(prompt).strip()
        except EOFError:
            return
        if not text:
            return
        yield text
