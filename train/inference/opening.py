"""What stands before a free question: the system prompt, and the media in the wording that the run knows."""

from collections.abc import Sequence
from dataclasses import dataclass

from config.schema import PipelineSettings, RunSettings
from train.answers.conversation import SLOT, Message

_SLOT = "<image>"
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


@dataclass(frozen=True)
class Opening:
    """Of a run's questions; pipelines.NAME.prompt says how (config.schema.PromptSettings)."""

    system: str
    pipeline: PipelineSettings

    @classmethod
    def of(cls, settings: RunSettings, system: str | None = None) -> "Opening":
        """`system`: in place of the run's own."""
        said = settings.pipeline.prompt.system if system is None else system
        if said is None:
            scored = any(not dataset.conversations for dataset in settings.datasets)
            said = next((task.system for task in settings.tasks.values() if scored), "")
        return cls(said.strip(), settings.pipeline)

    @property
    def messages(self) -> list[Message]:
        """What is said before the first question."""
        return [Message("system", self.system)] if self.system else []

    @property
    def slots(self) -> tuple[tuple[str, ...] | None, ...]:
        """The branches in each of a medium's slots, as `Talk.show` takes them."""
        return self.pipeline.division(self.pipeline.prompt.one.count(_SLOT))

    def text(self, question: str, media: int, about: Sequence[int] | None = None) -> str:
        """The question behind the slots of media.

        `media`: how many there are in the conversation; `about`: the numbers, from 0, of those that are shown
        here; all where not given.
        """
        prompt = self.pipeline.prompt
        if media == 1:
            return self._filled(prompt.one) + question
        shown = (
            prompt.several.format(number=number + 1, ordinal=_ordinal(number + 1))
            for number in (range(media) if about is None else about)
        )
        return "".join(map(self._filled, shown)) + question

    def _filled(self, template: str) -> str:
        filled = template.replace(_SLOT, SLOT, len(self.slots))
        return filled.replace(_SLOT, "")


def _ordinal(number: int) -> str:
    return _ORDINALS[number - 1] if number <= len(_ORDINALS) else f"{number}th"
