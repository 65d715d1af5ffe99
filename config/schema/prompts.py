"""`[prompts.NAME]`: the wordings of questions and answers."""

from string import Formatter
from typing import Literal

from pydantic import Field, model_validator

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

    @model_validator(mode="after")
    def _answers_state_their_value(self) -> "PromptSettings":
        for task, prompts in (("score", self.score), ("level", self.level)):
            named = [name for _, name, _, _ in Formatter().parse(prompts.answer) if name is not None]
            if named != [task]:
                raise ValueError(
                    f"{task}.answer is {prompts.answer!r}: expected {{{task}}} in it, once, and no other"
                )
        return self
