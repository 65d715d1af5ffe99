"""`python -m evaluate ask`: questions about videos, one after the other."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config import cli
from config.load import EMBEDDED_MODEL
from evaluate.options import Device, RunOption

if TYPE_CHECKING:
    from transformers import TextStreamer

    from evaluate.chat.conversation import Interview, Part
    from evaluate.chat.watching import Watched
    from train.pretrained import TrainedModel


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
    conversation an empty line ends it, and Ctrl-C an answer.
    """
    from evaluate.chat.conversation import Interview
    from evaluate.chat.watching import Watcher
    from evaluate.scoring.model import load_trained

    trained = load_trained(run, device)
    watcher = Watcher(trained)
    watched = [watcher.watch(video) for video in videos]
    for each in watched:
        for warning in each.warnings:
            print(f"{each.video}: {warning}", file=sys.stderr)
    interview = Interview(trained, watcher, watched, system)
    if not question and not json:
        _converse(trained, interview, watched, max_tokens)
        return
    turns = []
    for text in question or _lines():
        if not json:
            print(f"> {text}")
        _say_what_is_meant(interview.about(text), watched, json=json)
        streamer = None if json else _streamer(trained)
        turns.append(interview.ask(text, streamer, max_new_tokens=max_tokens))
    if json:
        cli.print_json(
            {
                "videos": [
                    {"video": str(each.video), "seconds": each.seconds, "warnings": each.warnings}
                    for each in watched
                ],
                "turns": [asdict(turn) for turn in turns],
            }
        )


def _streamer(trained: "TrainedModel") -> "TextStreamer":
    from transformers import TextStreamer

    return TextStreamer(trained.tokenizer, skip_special_tokens=True)


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


def _converse(
    trained: "TrainedModel", interview: "Interview", watched: Sequence["Watched"], max_tokens: int
) -> None:
    from config.errors import Problem

    for text in _lines():
        try:
            _say_what_is_meant(interview.about(text), watched)
            interview.ask(text, _streamer(trained), max_new_tokens=max_tokens)
        except KeyboardInterrupt:
            print("\nstopped; the question is forgotten", file=sys.stderr)
        except Problem as problem:
            print(problem, file=sys.stderr)


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
