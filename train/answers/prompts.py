"""The tasks' questions as conversations: system prompt, video, question, restriction, answer.

After section III-B of LMM-VQA.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from config.schema import TaskSettings, TextForm
from train.answers.chat import Chat, Text
from train.answers.conversation import SLOT, Conversation, Message, Target
from train.answers.forms import Value, options, written
from train.answers.space import AnswerSpace
from train.errors import TrainError


@dataclass(frozen=True)
class Prompt:
    """Token ids on both sides of the video's tokens."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class PromptBuilder:
    """Makes conversations of the tasks, and token ids of conversations (`chat`)."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        tasks: Mapping[str, TaskSettings],
        chat_template: str | None = None,
    ) -> None:
        self.chat = Chat(tokenizer, chat_template)
        self.tasks = dict(tasks)

    def phrasings(self, task: str) -> int:
        """Number of ways in which the task's question is put."""
        return len(self.tasks[task].questions)

    def conversation(
        self, task: str, phrasing: int = 0, value: Value | None = None, medium: int = 0
    ) -> Conversation:
        """The task's question about a medium, and its answer if the value is known."""
        asked = self.tasks[task]
        user = f"{SLOT} {asked.questions[phrasing]} {asked.restriction}".rstrip()
        messages = [Message("system", asked.system.strip()), Message("user", user)]
        if value is not None:
            messages.append(Message("assistant", self.answer(task, value), Target(task, value)))
        return Conversation((medium,), tuple(messages))

    def prompt(self, task: str, phrasing: int = 0) -> Prompt:
        """The ids of one question, up to where the answer begins."""
        before, _, *after = self.chat.pieces(self.conversation(task, phrasing))
        if not isinstance(before, Text) or not after or not isinstance(after[0], Text):
            raise TrainError(
                f"nothing follows the visual tokens in the prompt of the task {task!r}: give it a question, a"
                " restriction, or a chat template that marks where the answer begins"
            )
        return Prompt(before.ids, after[0].ids)

    def answer(self, task: str, value: Value) -> str:
        """The text of an answer."""
        return self.tasks[task].answer.format(value=written(self.tasks[task].form, value))

    def answer_ids(self, task: str, value: Value) -> tuple[int, ...]:
        """The ids of an answer, without the end-of-turn token."""
        return self.chat.ids(self.answer(task, value))

    def spaces(self) -> dict[str, AnswerSpace]:
        """Task → every answer that it allows, in the order of their values; not of tasks of free text.

        Raises TrainError where the tokenizer writes two of them alike.
        """
        spaces = {}
        for name, task in self.tasks.items():
            texts = [[task.answer.format(value=text) for text in each] for each in options(task.form)]
            allowed = [_common(*map(self.chat.ids, each)) for each in texts]
            if not allowed:
                continue
            try:
                spaces[name] = AnswerSpace.of(allowed, self.chat.end_of_turn)
            except ValueError:
                same = next(t[0] for n, t in enumerate(texts) if allowed[n] in allowed[:n])
                raise TrainError(
                    f"the tokenizer {self.chat.tokenizer.name_or_path!r} writes {same!r}, an answer of the"
                    f" task {name!r}, like another answer of it: choose words that it knows"
                ) from None
        return spaces

    def text_tokens(self, tasks: Sequence[str]) -> int:
        """Text tokens of a sample at most: what stands before the video, each task's question and answer."""
        return max(len(self.prompt(task).before) for task in tasks) + sum(map(self._question_tokens, tasks))

    def _question_tokens(self, task: str) -> int:
        asked = max(len(self.prompt(task, number).after) for number in range(self.phrasings(task)))
        return asked + self.answer_tokens(task) + 1

    def answer_tokens(self, task: str) -> int:
        """Tokens of the task's longest answer, without its end of turn."""
        form = self.tasks[task].form
        if isinstance(form, TextForm):
            return form.max_tokens
        answers = (self.tasks[task].answer.format(value=last) for _, last in options(form))
        return max(len(self.chat.ids(answer)) for answer in answers)


def _common(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """What both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return one[: next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))]
