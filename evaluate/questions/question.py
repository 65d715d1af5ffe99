"""One question of a benchmark, in the one form of all files that questions come in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from evaluate.errors import QuestionError
from store.labels.conversations import Turn


@dataclass(frozen=True)
class Question:
    """A question about one video or several, with options to choose from, or open."""

    number: int
    """Of the record in its file, from 1; of a conversation the line on which it begins."""
    videos: tuple[str, ...]
    """Names, as the file has them."""
    text: str
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Letter → option; none of an open question."""
    right: str | None = None
    """The letter of the right option."""
    reference: str | None = None
    """What an open question's answer is compared with."""
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Kind of category → those that the question belongs to."""
    inconsistent: str | None = None
    """How the record contradicts itself about the right answer, where it does."""
    lettered: bool = True
    """Whether the answer is a letter; otherwise it is the option itself, as yes or no."""
    listed: bool = False
    """Whether the text lists the options and says how to answer."""
    turns: tuple[Turn, ...] = ()
    """Of a conversation's question: how it is put, with the videos' slots."""
    predicts: str | None = None
    """The field that the answer has in the record's prediction, of benchmarks that ask for such a file."""

    @property
    def closed(self) -> bool:
        """Whether there are options to choose from."""
        return bool(self.options)


@dataclass(frozen=True)
class Unusable:
    """A record that is not asked, and why."""

    number: int
    reason: str


@dataclass(frozen=True)
class Questions:
    """All records of a file: each is a question, or is named with the reason why it is not."""

    asked: list[Question]
    unusable: list[Unusable]
    records: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """Number → record, of benchmarks whose records come back with predictions."""

    @property
    def inconsistent(self) -> list[Question]:
        """Those that contradict themselves about the right answer."""
        return [question for question in self.asked if question.inconsistent]


def text_of(record: Mapping[str, Any], key: str) -> str:
    """A field's text, without space around it. Raises QuestionError where there is none."""
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise QuestionError(f"`{key}` is {value!r:.60}: expected a text")
    return value.strip()
