"""Prompts as token ids, with a place for the visual tokens, in the tokenizer's own chat format."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from config.schema import PromptSettings, Task, TaskPrompts
from train.errors import TrainError

_VISUAL_SLOT = "<|visual-tokens-go-here|>"


@dataclass(frozen=True)
class Prompt:
    """Token ids on both sides of the visual tokens."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class PromptBuilder:
    """System prompt, visual tokens, question and response restriction (section III-B of LMM-VQA)."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, prompts: PromptSettings, chat_template: str | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._prompts = prompts
        self._template = tokenizer.chat_template or chat_template
        self._known: dict[tuple[Task, int], Prompt] = {}
        if self._template is None:
            raise TrainError(
                f"the tokenizer {tokenizer.name_or_path!r} has no chat template: set `chat_template` in the"
                " pipeline's decoder settings to the Jinja template that the model was trained with"
            )

    def phrasings(self, task: Task) -> int:
        """Number of ways in which the task's question is put."""
        return len(self._task(task).questions)

    def prompt(self, task: Task, phrasing: int = 0) -> Prompt:
        """The ids of one question, up to where the answer begins."""
        if (task, phrasing) not in self._known:
            self._known[task, phrasing] = self._build(task, phrasing)
        return self._known[task, phrasing]

    def _build(self, task: Task, phrasing: int) -> Prompt:
        wording = self._task(task)
        text = self._chat(f"{_VISUAL_SLOT} {wording.questions[phrasing]} {wording.restriction}")
        before, slot, after = text.partition(_VISUAL_SLOT)
        if not slot:
            raise TrainError("the chat template drops the user's message; the visual tokens have no place")
        prompt = Prompt(self.ids(before), self.ids(after))
        if not prompt.after:
            raise TrainError(
                f"nothing follows the visual tokens in the prompt of the task {task!r}: give it a question, a"
                " restriction, or a chat template that marks where the answer begins"
            )
        return prompt

    def answer(self, task: Task, value: int | str) -> str:
        """The text of an answer: `value` is an integer score or a level."""
        return self._task(task).answer.format(**{task: value})

    def answer_ids(self, task: Task, value: int | str) -> tuple[int, ...]:
        """The ids of an answer, without the end-of-turn token."""
        return self.ids(self.answer(task, value))

    def ids(self, text: str) -> tuple[int, ...]:
        """Plain tokenisation; special tokens only where the text spells them."""
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def text_tokens(self, tasks: Sequence[Task]) -> int:
        """Text tokens of a sample at most: what stands before the video, each task's question and answer."""
        return max(len(self.prompt(task).before) for task in tasks) + sum(map(self._question_tokens, tasks))

    @property
    def end_of_turn(self) -> int:
        """The token that ends an answer. Raises TrainError where the tokenizer names none."""
        token = self._tokenizer.eos_token_id
        if token is None:
            raise TrainError(
                f"the tokenizer {self._tokenizer.name_or_path!r} names no token that ends a turn:"
                " set `eos_token` in its tokenizer_config.json"
            )
        return int(token)

    def text(self, ids: list[int]) -> str:
        """Generated ids as text, without special tokens."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def _chat(self, user: str) -> str:
        """System prompt and user message in the template; as one message where it has no system role."""
        system = self._prompts.system.strip()
        try:
            text = self._render([{"role": "system", "content": system}, {"role": "user", "content": user}])
            if system in text:
                return text
        except TemplateError:
            pass
        return self._render([{"role": "user", "content": f"{system}\n\n{user}".strip()}])

    def _render(self, messages: list[dict[str, str]]) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                messages,
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=True,
                # Templates of models that think first (Qwen-3) then leave no room for it; others ignore it.
                enable_thinking=False,
            )
        )

    def _question_tokens(self, task: Task) -> int:
        wordings = [self.prompt(task, number) for number in range(self.phrasings(task))]
        answer = self.answer_ids(task, 100 if task == "score" else "good")
        return max(len(prompt.after) for prompt in wordings) + len(answer) + 1

    def _task(self, task: Task) -> TaskPrompts:
        return self._prompts.score if task == "score" else self._prompts.level
