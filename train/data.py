"""Samples with their features, read from the store and delivered in batches."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch.utils.data import Dataset

from config.schema import Task, TrainingSettings
from store.ahead import read_ahead
from train.batches import Batch
from train.model import Features, QualityModel
from train.prompts import PromptBuilder
from train.reader import FeatureReader
from train.regression import VideoModel
from train.samples import Sample

Loaded = tuple[Batch, list[Features]]
"""A batch with the features of its videos."""


class QualityDataset(Dataset[Features]):
    """Map-style dataset over samples of one or several datasets: index → features."""

    def __init__(self, samples: Sequence[Sample], readers: Mapping[str, FeatureReader]) -> None:
        self.samples = samples
        self.readers = readers

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Features:
        sample = self.samples[index]
        return self.readers[sample.dataset].read(sample.video)


def sequence_tokens(data: QualityDataset, model: VideoModel, tasks: Sequence[Task]) -> list[int]:
    """Tokens that each sample takes in the decoder: its visual prefix once, and every task's question.

    The regression baseline sees the visual tokens alone.
    """
    per_chunk = {name: int(p.output_tokens) for name, p in model.projectors.items()}  # type: ignore[arg-type]
    text = text_tokens(model.prompts, tasks) if isinstance(model, QualityModel) else 0
    return [data.readers[s.dataset].tokens(s.video, per_chunk) + text for s in data.samples]


def text_tokens(prompts: PromptBuilder, tasks: Sequence[Task]) -> int:
    """Text tokens of a sample at most: what stands before the video, and each task's question and answer."""
    before = max(len(prompts.prompt(task).before) for task in tasks)
    return before + sum(_question_tokens(prompts, task) for task in tasks)


def _question_tokens(prompts: PromptBuilder, task: Task) -> int:
    wordings = [prompts.prompt(task, number) for number in range(prompts.phrasings(task))]
    answer = prompts.answer_ids(task, 100 if task == "score" else "good")
    return max(len(prompt.after) for prompt in wordings) + len(answer) + 1


def loaded(
    data: QualityDataset, batches: Sequence[Batch], settings: TrainingSettings, device: torch.device
) -> Iterator[Loaded]:
    """The batches in their order, with features on the device, whatever the number of workers."""

    def read(batch: Batch) -> list[Features]:
        return [_pinned(data[video], device) for video in batch.videos]

    found = read_ahead(read, batches, settings.workers, settings.prefetch)
    for batch, features in zip(batches, found, strict=True):
        yield batch, [_on(video, device) for video in features]


def _pinned(video: Features, device: torch.device) -> Features:
    """In memory from which a GPU copies by itself."""
    return {b: tokens.pin_memory() for b, tokens in video.items()} if device.type == "cuda" else video


def _on(video: Features, device: torch.device) -> Features:
    return {branch: tokens.to(device, non_blocking=True) for branch, tokens in video.items()}
