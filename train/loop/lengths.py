"""How many tokens samples take in the decoder: known before any training, from the store's index."""

from collections.abc import Callable, Sequence

from config.schema import TextForm
from train.answers.prompts import PromptBuilder
from train.data.loading import QualityDataset
from train.data.samples import Sample
from train.errors import TaskLabelError
from train.model.quality import QualityModel
from train.model.regression import VideoModel


def sequence_tokens(data: QualityDataset, model: VideoModel, tasks: Sequence[str]) -> list[int]:
    """Tokens that each sample takes in the decoder: its visual prefix once, and every task's question.

    Of a conversation, all that is said. All of it as often as there are members. The regression baseline sees
    the visual tokens alone. Raises ContextExceeded where the decoder cannot read as many, TaskLabelError
    where a text is longer than its task allows.
    """
    text = text_tokens(model, tasks)
    longest = max(model.prompts.text_tokens([task]) for task in tasks)
    tokens = data.tokens(model.tokens_of, text)
    for sample, count in zip(data.samples, tokens, strict=True):
        if isinstance(model, QualityModel):
            _check_texts(model.prompts, sample)
        for medium in sample.media:
            model.check_chunks(data.chunks(medium), medium.video)
        at_once = count if sample.said is not None else count - text(sample) + longest
        model.check_length(at_once, f"{sample.video} of {sample.dataset}")
    return [model.members * count for count in tokens]


def text_tokens(model: VideoModel, tasks: Sequence[str]) -> Callable[[Sample], int]:
    """A sample's text tokens: what stands before the video and every task's question, or what is said."""
    asked = model.prompts.text_tokens(tasks)

    def of(sample: Sample) -> int:
        if sample.said is None or not isinstance(model, QualityModel):
            return asked
        return model.prompts.chat.tokens(sample.said)

    return of


def _check_texts(prompts: PromptBuilder, sample: Sample) -> None:
    for name, task in prompts.tasks.items():
        if not isinstance(task.form, TextForm) or name not in sample.answers:
            continue
        length, most = len(prompts.answer_ids(name, sample.answers[name])), task.form.max_tokens
        if length > most:
            raise TaskLabelError(
                f"{sample.video} of {sample.dataset}: the answer to {name!r} has {length} tokens; expected at"
                f" most tasks.{name}.form.max_tokens = {most}"
            )
