"""What a trained run writes where conversations of stored features have an answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from train.data.reader import FeatureReader
from train.data.samples import Sample
from train.errors import ContextExceeded, TrainError
from train.pretrained import TrainedModel


@dataclass(frozen=True)
class Answered:
    """A conversation's last answer: the one that it has, and the one that the model writes."""

    sample: Sample
    written: str
    problem: str | None = None
    """Why nothing was written, where it was not."""

    @property
    def true(self) -> str:
        """The conversation's own."""
        assert self.sample.said is not None
        return self.sample.said.messages[-1].text


def answer_conversations(
    trained: TrainedModel,
    samples: Sequence[Sample],
    reader: FeatureReader,
    most_tokens: int = 64,
    *,
    quiet: bool = False,
) -> Iterator[Answered]:
    """Ask what each conversation asks last, behind its media and all that was said before.

    `samples`: of a dataset of conversations (`train.data.dialogues.dialogue_samples`). The likeliest tokens
    are written; nothing where a conversation is longer than the decoder reads. Raises TrainError where a
    sample is no conversation that ends with an answer, and what `Talk.reply` raises.
    """
    for sample in tqdm(samples, desc="answer", unit="question", disable=quiet):
        said = sample.said
        if said is None or said.messages[-1].role != "assistant":
            raise TrainError(
                f"{sample.video} of {sample.dataset}: expected a conversation with an answer last"
            )
        talk = trained.talk()
        for medium, branches in sample.read:
            talk.show(reader.read(medium.video, medium.start, medium.stop, medium.branches), branches)
        try:
            yield Answered(sample, talk.reply(said.messages[:-1], max_new_tokens=most_tokens))
        except ContextExceeded as error:
            yield Answered(sample, "", str(error))
