"""Conversations as token ids, in the tokenizer's own chat format, with places for the media's tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from train.answers.conversation import SLOT, Conversation, Target
from train.errors import TrainError

_ANSWER = "<|answer-goes-here|>"
_KNOWN = 4096


@dataclass(frozen=True)
class Text:
    """Token ids that are read."""

    ids: tuple[int, ...]


@dataclass(frozen=True)
class Slot:
    """Where a medium's tokens stand."""

    medium: int


@dataclass(frozen=True)
class Answer:
    """Token ids that the model should write, and then end its turn."""

    ids: tuple[int, ...]
    target: Target | None


Piece = Text | Slot | Answer
_Skeleton = tuple[tuple[str, str], ...]
"""Roles and texts of the messages, an answer's text left out."""


class Chat:
    """A tokenizer with its chat template. Raises TrainError where it has none."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, chat_template: str | None = None) -> None:
        self.tokenizer = tokenizer
        self.template = tokenizer.chat_template or chat_template
        self._known = lru_cache(_KNOWN)(self._split)
        self._ids = lru_cache(_KNOWN)(self._tokenised)
        if self.template is None:
            raise TrainError(
                f"the tokenizer {tokenizer.name_or_path!r} has no chat template: set `chat_template` in the"
                " pipeline's decoder settings to the Jinja template that the model was trained with"
            )

    def pieces(self, conversation: Conversation) -> list[Piece]:
        """Texts, slots and answers in their order; up to where an answer begins, if the last word is not one.

        An answer is tokenised by itself, and stands where the template, asked to go on from the messages
        before it, lets the model write. Raises TrainError where the template does not let it.
        """
        skeleton = tuple(
            (message.role, _ANSWER if message.role == "assistant" else message.text)
            for message in conversation.messages
        )
        media = iter(conversation.media)
        answers = iter(message for message in conversation.messages if message.role == "assistant")
        pieces: list[Piece] = []
        for part in self._known(skeleton):
            if part == SLOT:
                pieces.append(Slot(next(media)))
            elif part == _ANSWER:
                message = next(answers)
                pieces.append(Answer(self.ids(message.text), message.target))
            else:
                pieces.append(Text(part))  # type: ignore[arg-type]
        return pieces

    def tokens(self, conversation: Conversation) -> int:
        """Tokens that are read of it, those of media left out."""
        return sum(0 if isinstance(piece, Slot) else len(piece.ids) for piece in self.pieces(conversation))

    def answer_tokens(self, conversation: Conversation) -> int:
        """Tokens that the model should write, ends of turns with them."""
        return sum(len(piece.ids) + 1 for piece in self.pieces(conversation) if isinstance(piece, Answer))

    def ids(self, text: str) -> tuple[int, ...]:
        """Plain tokenisation; special tokens only where the text spells them."""
        return self._ids(text)

    def text(self, ids: Sequence[int]) -> str:
        """Generated ids as text, without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    @property
    def end_of_turn(self) -> int:
        """The token that ends an answer. Raises TrainError where the tokenizer names none."""
        token = self.tokenizer.eos_token_id
        if token is None:
            raise TrainError(
                f"the tokenizer {self.tokenizer.name_or_path!r} names no token that ends a turn:"
                " set `eos_token` in its tokenizer_config.json"
            )
        return int(token)

    def _tokenised(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _split(self, skeleton: _Skeleton) -> list[tuple[int, ...] | str]:
        """Token ids of the texts, SLOT and _ANSWER in their order."""
        turns = [number for number, (role, _) in enumerate(skeleton) if role == "assistant"]
        if not turns or turns[-1] != len(skeleton) - 1:
            turns.append(len(skeleton))
        parts: list[tuple[int, ...] | str] = []
        for number, turn in enumerate(turns):
            before = self._render(skeleton[:turn])
            if before.count(_ANSWER) != number:
                raise TrainError("the chat template drops an assistant's message: choose another")
            texts = before.rpartition(_ANSWER)[2].split(SLOT)
            pieces = list(map(self.ids, texts))
            if number and pieces[0][:1] != (self.end_of_turn,):
                raise TrainError(
                    "the chat template does not end an assistant's turn with the tokenizer's"
                    f" {self.tokenizer.eos_token!r}: choose a template that does"
                )
            for position, ids in enumerate(pieces):
                parts += ([SLOT] if position else []) + ([ids] if ids else [])
            if turn < len(skeleton):
                parts.append(_ANSWER)
        slots = sum(text.count(SLOT) for _, text in skeleton)
        if parts.count(SLOT) != slots:
            raise TrainError("the chat template drops a message; the media's tokens have no place")
        return parts

    def _render(self, messages: _Skeleton) -> str:
        """Up to where an answer begins; where the template has no system role, the user says it first."""
        if messages[0][0] != "system":
            return self._applied(messages)
        system = messages[0][1]
        try:
            text = self._applied(messages)
            if system in text:
                return text
        except TemplateError:
            pass
        rest = list(messages[1:])
        first = rest.pop(0)[1] if rest and rest[0][0] == "user" else ""
        return self._applied([("user", f"{system}\n\n{first}".strip()), *rest])

    def _applied(self, messages: Sequence[tuple[str, str]]) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                [{"role": role, "content": text} for role, text in messages],
                chat_template=self.template,
                tokenize=False,
                add_generation_prompt=True,
                # Templates of models that think first (Qwen-3) then leave no room for it; others ignore it.
                enable_thinking=False,
            )
        )
