"""How many tokens samples take in the decoder: known before any training, from the store's index."""

from collections.abc import Sequence

from train.data.loading import QualityDataset
from train.model.regression import VideoModel


def sequence_tokens(data: QualityDataset, model: VideoModel, tasks: Sequence[str]) -> list[int]:
    """Tokens that each sample takes in the decoder: its visual prefix once, and every task's question.

    The regression baseline sees the visual tokens alone. Raises ContextExceeded where the decoder cannot read
    as many.
    """
    text = model.prompts.text_tokens(tasks)
    longest = max(model.prompts.text_tokens([task]) for task in tasks)
    tokens = data.tokens(model.tokens_per_chunk(), text)
    for sample, count in zip(data.samples, tokens, strict=True):
        for medium in sample.media:
            model.check_chunks(data.chunks(medium), medium.video)
        model.check_length(count - text + longest, f"{sample.video} of {sample.dataset}")
    return tokens
