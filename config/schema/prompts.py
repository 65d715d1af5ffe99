"""`[prompts.NAME]`: the wordings of questions and answers."""

from typing import Literal

from pydantic import Field

from config.schema.entry import Entry

Task = Literal["score", "level"]


class TaskPrompts(Entry):
    """The wording of one task."""

    questions: tuple[str, ...] = Field(min_length=1)
    """Phrasings: training draws one at random, evaluation always asks the first."""
    restriction: str
    """The form that the answer must have."""
    answer: str
    """The answer, with `{score}` or `{level}` in it."""


class PromptSettings(Entry):
    """System prompt and tasks."""

    system: str
    score: TaskPrompts
    level: TaskPrompts
