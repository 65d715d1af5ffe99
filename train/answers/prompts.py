"""The tasks' questions as conversations: system prompt, video, question, restriction, answer.

After section III-B of LMM-VQA.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from config.schema import PromptSettings, Task, TaskPrompts
from train.answers.chat import Chat, Text
from train.answers.conversation import SLOT, Conversation, Message, Target
from train.answers.space import LEVELS, SCORES
from train.errors import TrainError


@dataclass(frozen=True)
class Prompt:
    """Token ids on both sides of the video's tokens."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class PromptBuilder:
    """Makes conversations of the tasks, and token ids of conversations (`chat`)."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, prompts: PromptSettings, chat_template: str | None = None
    ) -> None:
        self.chat = Chat(tokenizer, chat_template)
        self._prompts = prompts

    def phrasings(self, task: Task) -> int:
        """Number of ways in which the task's question is put."""
        return len(self._task(task).questions)

    def conversation(
        self, task: Task, phrasing: int = 0, value: float | str | None = None, medium: int = 0
    ) -> Conversation:
        """The task's question about a medium, and its answer if the value is known."""
        wording = self._task(task)
        user = f"{SLOT} {wording.questions[phrasing]} {wording.restriction}"
        messages = [Message("system", self._prompts.system.strip()), Message("user", user)]
        if value is not None:
            messages.append(Message("assistant", self.answer(task, value), Target(task, value)))
        return Conversation((medium,), tuple(messages))

    def prompt(self, task: Task, phrasing: int = 0) -> Prompt:
        """The ids of one question, up to where the answer begins."""
        before, _, *after = self.chat.pieces(self.conversation(task, phrasing))
        if not isinstance(before, Text) or not after or not isinstance(after[0], Text):
            raise TrainError(
                f"nothing follows the visual tokens in the prompt of the task {task!r}: give it a question, a"
                " restriction, or a chat template that marks where the answer begins"
            )
        return Prompt(before.ids, after[0].ids)

    def answer(self, task: Task, value: float | str) -> str:
        """The text of an answer: scores are written with as many decimals as the settings say."""
        written = value if isinstance(value, str) else f"{value:.{self._prompts.score.decimals}f}"
        return self._task(task).answer.format(**{task: written})

    def answer_ids(self, task: Task, value: float | str) -> tuple[int, ...]:
        """The ids of an answer, without the end-of-turn token."""
        return self.chat.ids(self.answer(task, value))

    def allowed(self, task: Task) -> list[tuple[int, ...]]:
        """The ids of every answer that the task allows, in the order of their values.

        Of scores with decimals, those that begin with the same whole number are one.
        """
        if task == "level":
            return [self.answer_ids(task, level) for level in LEVELS]
        if not self._prompts.score.decimals:
            return [self.answer_ids(task, score) for score in SCORES]
        last = 1 - 10.0**-self._prompts.score.decimals
        ends = ((score, score + last if score < SCORES[-1] else score) for score in SCORES)
        return [_common(self.answer_ids(task, low), self.answer_ids(task, high)) for low, high in ends]

    @property
    def score_values(self) -> tuple[float, ...]:
        """What each allowed score is read as: itself, or the middle of those that begin with it."""
        if not self._prompts.score.decimals:
            return tuple(map(float, SCORES))
        middle = (1 - 10.0**-self._prompts.score.decimals) / 2
        return (*(score + middle for score in SCORES[:-1]), float(SCORES[-1]))

    def text_tokens(self, tasks: Sequence[Task]) -> int:
        """Text tokens of a sample at most: what stands before the video, each task's question and answer."""
        return max(len(self.prompt(task).before) for task in tasks) + sum(map(self._question_tokens, tasks))

    def _question_tokens(self, task: Task) -> int:
        wordings = [self.prompt(task, number) for number in range(self.phrasings(task))]
        answer = self.answer_ids(task, 100 if task == "score" else "good")
        return max(len(prompt.after) for prompt in wordings) + len(answer) + 1

    def _task(self, task: Task) -> TaskPrompts:
        return self._prompts.score if task == "score" else self._prompts.level


def _common(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """What both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return one[: next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))]
