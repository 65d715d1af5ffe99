"""Samples with their features, read from the store and delivered in batches."""

import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch.utils.data import DataLoader, Dataset

from config.schema import Task, TrainingSettings
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
    loader: Iterable[list[Features]] = DataLoader(
        data,
        batch_sampler=[batch.videos for batch in batches],
        collate_fn=list,
        num_workers=settings.workers,
        prefetch_factor=settings.prefetch if settings.workers else None,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # without its own, it would draw from the trainer's
        worker_init_fn=_leave_signals_to_the_trainer,
    )
    for batch, features in zip(batches, loader, strict=True):
        yield batch, [_on(video, device) for video in features]


def _on(video: Features, device: torch.device) -> Features:
    return {branch: tokens.to(device, non_blocking=True) for branch, tokens in video.items()}


def _leave_signals_to_the_trainer(_worker: int) -> None:
    # A terminal sends Ctrl-C to the workers too; the trainer finishes its step with what they have read.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
