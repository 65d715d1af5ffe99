"""Asking a run a benchmark's questions: options by their likelihood and by letter, open ones in writing."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from evaluate.chat.conversation import system_prompt
from evaluate.chat.watching import Watcher, content_digest
from evaluate.errors import EvaluationError
from evaluate.questions.keeping import KeptAnswers
from evaluate.questions.question import Question
from extract.errors import UnreadableVideo
from store.labels.folder import require_videos
from store.labels.resolve import resolve
from train.answers.conversation import SLOT, Message
from train.errors import TrainError
from train.inference.talk import Talk
from train.pretrained import TrainedModel

LETTER_TOKENS = 8
"""As many as the answer to a question with options may have."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Asked:
    """What the model says to a question, or why it was not asked."""

    question: Question
    likelihoods: Mapping[str, float] | None = None
    """Letter → mean log-probability of the option's tokens, were it the answer."""
    written: str | None = None
    problem: str | None = None

    @property
    def likeliest(self) -> str | None:
        """The letter of the likeliest option; None where several are alike."""
        if not self.likelihoods:
            return None
        best = max(self.likelihoods.values())
        letters = [letter for letter, value in self.likelihoods.items() if value == best]
        return letters[0] if len(letters) == 1 else None

    @property
    def letter(self) -> str | None:
        """The option with which the written answer begins, by its letter or as itself; None of no option."""
        if self.written is None or not self.question.closed:
            return None
        if self.question.lettered:
            return self.written[:1] if self.written[:1] in self.question.options else None
        words = _WORD.findall(self.written.casefold())
        alike = [
            letter for letter, option in self.question.options.items() if words[:1] == [option.casefold()]
        ]
        return alike[0] if alike else None


def ask_all(
    trained: TrainedModel,
    questions: Sequence[Question],
    folder: Path,
    open_tokens: int = 128,
    kept: Path | None = None,
) -> Iterator[Asked]:
    """Every question with its answer, those about the same videos together.

    Files with the same bytes are one video: it is decoded, and read by the language model, once. `folder`
    holds the videos; `open_tokens`: at most in an open answer. Answers are kept in the file `kept`, each from
    the moment that it is given, and not asked for again while model, question and videos are the same. Raises
    VideoFolderError, AmbiguousVideoError, EvaluationError where none of the videos is there, TrainError
    where the model writes no text.
    """
    files = _files(questions, folder)
    watcher, system = Watcher(trained), system_prompt(trained)
    trained.talk()
    answers = KeptAnswers(kept, trained)
    there = []
    for question in questions:
        try:
            digests = tuple(content_digest(files[name]) for name in question.videos)
            there.append((digests, question))
        except KeyError as error:
            yield Asked(question, problem=f"the video {error.args[0]!r} is not in {folder}")
        except UnreadableVideo as error:
            yield Asked(question, problem=str(error))
    there.sort(key=lambda pair: pair[0])
    for digests, group in groupby(there, key=lambda pair: pair[0]):
        together = []
        for _, question in group:
            key = answers.key(_decides(question, digests, system, open_tokens))
            if known := answers.get(key):
                yield Asked(question, known["likelihoods"], known["written"])
            else:
                together.append((key, question))
        if not together:
            continue
        try:
            watched = [watcher.watch(files[name]) for name in together[0][1].videos]
            talk = trained.talk([watcher.medium(each) for each in watched])
        except (UnreadableVideo, TrainError) as error:
            yield from (Asked(question, problem=str(error)) for _, question in together)
            continue
        for key, question in together:
            found = _asked(talk, question, system, _limit(question, open_tokens))
            if found.problem is None:
                answers.add(key, {"likelihoods": found.likelihoods, "written": found.written})
            yield found


def _asked(talk: Talk, question: Question, system: str, limit: int) -> Asked:
    try:
        likelihoods = None
        if question.closed:
            found = talk.likelihoods(messages(question, system), list(question.options.values()))
            likelihoods = dict(zip(question.options, found, strict=True))
        written = talk.reply(messages(question, system, options=True), max_new_tokens=limit)
    except TrainError as error:
        return Asked(question, problem=str(error))
    return Asked(question, likelihoods, written)


def _limit(question: Question, open_tokens: int) -> int:
    return LETTER_TOKENS if question.closed else open_tokens


def _decides(question: Question, videos: Sequence[str], system: str, open_tokens: int) -> dict[str, Any]:
    """All that the model's answer depends on; `videos`: digests of the files."""
    said = [messages(question, system, options) for options in (False, True)]
    return {
        "videos": list(videos),
        "messages": [[(message.role, message.text) for message in each] for each in said],
        "options": list(question.options.items()),
        "tokens": _limit(question, open_tokens),
    }


def messages(question: Question, system: str, options: bool = False) -> list[Message]:
    """The question behind its videos; with `options` they are listed, and a letter is asked for."""
    count = len(question.videos)
    shown = [SLOT] if count == 1 else [f"Video {number}: {SLOT}" for number in range(1, count + 1)]
    lines = [question.text]
    if options and question.closed and not question.listed:
        lines += [f"{letter}. {option}" for letter, option in question.options.items()]
        lines.append("Answer with the letter of the right option.")
    between = " " if count == 1 else "\n"
    asked = Message("user", "\n".join(shown) + between + "\n".join(lines))
    return [Message("system", system), asked] if system else [asked]


def _files(questions: Sequence[Question], folder: Path) -> dict[str, Path]:
    names = dict.fromkeys(name for question in questions for name in question.videos)
    found = resolve(names, require_videos(folder), folder).found
    if not found:
        raise EvaluationError(f"none of the {len(names)} videos that are asked about is in {folder}")
    return found
