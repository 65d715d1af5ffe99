"""The tasks' questions about samples, in the wordings that an epoch draws."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from train.answers.conversation import Conversation
from train.answers.forms import Value
from train.data.samples import Sample
from train.draws import drawn_wording


class Prompts(Protocol):
    """Puts a task's question; see PromptBuilder."""

    def phrasings(self, task: str) -> int:
        """Number of wordings."""
        ...

    def conversation(
        self, task: str, phrasing: int = 0, value: Value | None = None, medium: int = 0
    ) -> Conversation:
        """The question in one of them, with its answer."""
        ...


class TaskQuestions:
    """Each task's question about the samples of a batch that have its answer; or what is said about them.

    All follows from seed, epoch and sample.
    """

    def __init__(self, samples: Sequence[Sample], prompts: Prompts, tasks: Sequence[str], seed: int) -> None:
        self._samples = samples
        self._prompts = prompts
        self._tasks = tasks
        self._seed = seed

    def __call__(self, epoch: int, batch: Sequence[int]) -> list[Conversation]:
        """About the samples of these numbers; `medium` counts the media of all of them in their order."""
        counts = [len(self._samples[number].media) for number in batch]
        places = [sum(counts[:place]) for place in range(len(counts))]
        return [
            conversation
            for place, number in zip(places, batch, strict=True)
            for conversation in self._about(epoch, number, place)
        ]

    def _about(self, epoch: int, number: int, place: int) -> Iterator[Conversation]:
        sample = self._samples[number]
        if sample.said is not None:
            yield sample.said.moved(place)
            return
        for position, task in enumerate(self._tasks):
            if task in sample.answers:
                wording = drawn_wording(self._seed, epoch, number, position, self._prompts.phrasings(task))
                yield self._prompts.conversation(task, wording, sample.answers[task], place)
