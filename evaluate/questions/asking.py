"""Asking a run a benchmark's questions: options by their likelihood and by letter, open ones in writing."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from evaluate.errors import EvaluationError
from evaluate.questions.question import Question
from evaluate.scoring.keeping import KeptAnswers
from evaluate.watching.watcher import Watcher, content_digest
from extract.errors import UnreadableVideo
from store.labels.conversations import Dialogue
from store.labels.folder import require_videos
from store.labels.resolve import resolve
from train.answers.conversation import Conversation, Message
from train.data.dialogues import conversation_of
from train.data.reader import Features
from train.data.samples import Medium
from train.errors import TrainError
from train.inference.opening import Opening
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
    watcher, opening = Watcher(trained), Opening.of(trained.settings)
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
            key = answers.key(_decides(question, digests, opening, open_tokens))
            if known := answers.get(key):
                yield Asked(question, known["likelihoods"], known["written"])
            else:
                together.append((key, question))
        if not together:
            continue
        try:
            watched = [watcher.watch(files[name]) for name in together[0][1].videos]
            asker = _Asker(trained, opening, [watcher.medium(each) for each in watched])
        except (UnreadableVideo, TrainError) as error:
            yield from (Asked(question, problem=str(error)) for _, question in together)
            continue
        for key, question in together:
            found = asker.ask(question, _limit(question, open_tokens))
            if found.problem is None:
                answers.add(key, {"likelihoods": found.likelihoods, "written": found.written})
            yield found


class _Asker:
    """Asks about the same videos; what was read for one question is not read again for the next."""

    def __init__(self, trained: TrainedModel, opening: Opening, media: Sequence[Features]) -> None:
        self._trained, self._opening, self._media = trained, opening, media
        self._talks: dict[tuple[object, ...], Talk] = {}

    def ask(self, question: Question, limit: int) -> Asked:
        try:
            likelihoods = None
            if question.closed:
                asked = conversation(question, self._opening)
                found = self._talk(asked).likelihoods(asked.messages, list(question.options.values()))
                likelihoods = dict(zip(question.options, found, strict=True))
            asked = conversation(question, self._opening, options=True)
            written = self._talk(asked).reply(asked.messages, max_new_tokens=limit)
        except TrainError as error:
            return Asked(question, problem=str(error))
        return Asked(question, likelihoods, written)

    def _talk(self, asked: Conversation) -> Talk:
        """One in which the videos fill the conversation's slots."""
        slots = (*zip(asked.media, asked.branches, strict=True),)
        if slots not in self._talks:
            talk = self._talks[slots] = self._trained.talk()
            for medium, branches in slots:
                talk.show(self._media[medium], branches)
        return self._talks[slots]


def _limit(question: Question, open_tokens: int) -> int:
    return LETTER_TOKENS if question.closed else open_tokens


def _decides(question: Question, videos: Sequence[str], opening: Opening, open_tokens: int) -> dict[str, Any]:
    """All that the model's answer depends on; `videos`: digests of the files."""
    asked = [conversation(question, opening, options) for options in (False, True)]
    return {
        "videos": list(videos),
        "slots": [[*zip(each.media, each.branches, strict=True)] for each in asked],
        "messages": [[(message.role, message.text) for message in each.messages] for each in asked],
        "options": list(question.options.items()),
        "tokens": _limit(question, open_tokens),
    }


def conversation(question: Question, opening: Opening, options: bool = False) -> Conversation:
    """The question behind its videos, as the run knows them; one of a conversation as it stands there.

    With `options` they are listed, and a letter is asked for.
    """
    if question.turns:
        media = [Medium("", name) for name in question.videos]
        said = Dialogue(question.number, question.videos, question.turns)
        own = conversation_of(said, media, dict(zip(media, range(len(media)), strict=True)), opening.pipeline)
        first = () if own.messages[0].role == "system" else opening.messages
        return replace(own, messages=(*first, *own.messages))
    lines = [question.text]
    if options and question.closed and not question.listed:
        lines += [f"{letter}. {option}" for letter, option in question.options.items()]
        lines.append("Answer with the letter of the right option.")
    count, slots = len(question.videos), opening.slots
    text = opening.text("\n".join(lines), count)
    return Conversation(
        tuple(number for number in range(count) for _ in slots),
        (*opening.messages, Message("user", text)),
        slots * count,
    )


def _files(questions: Sequence[Question], folder: Path) -> dict[str, Path]:
    names = dict.fromkeys(name for question in questions for name in question.videos)
    found = resolve(names, require_videos(folder), folder).found
    if not found:
        raise EvaluationError(f"none of the {len(names)} videos that are asked about is in {folder}")
    return found
