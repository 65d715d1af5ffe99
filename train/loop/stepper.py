"""One optimiser step: its passes, the gradients of all processes together, the update."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from config.schema import PipelineSettings
from train.answers.conversation import Conversation
from train.data.batches import Batch, Step
from train.data.loading import Loaded, QualityDataset
from train.data.reader import Features
from train.draws import Draws, derived_seed, device_generator, draws_of_samples
from train.errors import DivergedError
from train.loop.exhaustion import explains_exhaustion
from train.loop.processes import add_gradients, clip_gradients, trained
from train.model.members import each
from train.model.regression import RegressionModel, VideoModel

Questions = Callable[[int, Sequence[int]], Sequence[Conversation]]
"""(epoch, samples) → conversations about the media of all these samples, numbered in their order."""


@dataclass(frozen=True)
class StepResult:
    """What a step came to, the same on all processes."""

    loss: float
    """Mean over the answers of the step, or over their tokens, and over the members."""
    gradient_norm: float
    """Before clipping."""
    flags: list[int]
    """Of how many processes each flag was set."""


@dataclass(frozen=True)
class _Pass:
    conversations: Sequence[Conversation]
    videos: list[str]
    """Of which sample each medium is."""
    losses: torch.Tensor
    """[conversations], without their graph."""
    weights: torch.Tensor
    """[conversations]: what each counts for in the step's mean."""


class Stepper:
    """Takes optimiser steps; the loss of a step is the mean over all processes' answers, or their tokens.

    `questions` makes the conversations about samples, in an epoch; their media are places in the list.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        pipeline: PipelineSettings,
        model: VideoModel,
        data: QualityDataset,
        tokens: Sequence[int],
        optimizer: torch.optim.Optimizer,
        questions: Questions,
    ) -> None:
        self._accelerator = accelerator
        self._pipeline = pipeline
        self._model = model
        self._data = data
        self._tokens = tokens
        self._optimizer = optimizer
        self._parameters = trained(model)
        self._clipped_together = model.clipped_together()
        self._questions = questions

    def take(self, epoch: int, step: Step, batches: Iterator[Loaded], flags: Sequence[bool]) -> StepResult:
        """One step, with the next of the loaded batches. Raises DivergedError, MemoryExhaustedError.

        `flags` are counted over the processes on the way, so that all of them act alike.
        """
        passes = [
            self._pass(epoch, batch, features) for batch, features in islice(batches, len(step.batches))
        ]
        sums = [torch.stack([p.losses * p.weights, p.weights]).double().sum(dim=1) for p in passes]
        own = torch.stack(sums).sum(dim=0).tolist() if sums else [0.0, 0.0]  # one wait for the device
        total, count, *raised = self._sum([*own, *map(float, flags)])
        if not math.isfinite(total):
            raise self._diverged("loss", total, passes)
        add_gradients(self._accelerator, self._parameters)
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad.div_(count)
        clip = self._pipeline.training.gradient_clip
        bound = math.inf if clip is None else clip
        norm = math.hypot(*(clip_gradients(own, bound) for own in self._clipped_together))
        if not math.isfinite(norm):
            raise self._diverged("gradient's norm", norm, passes)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return StepResult(total / count / self._model.members, norm, [round(flag) for flag in raised])

    def _pass(self, epoch: int, batch: Batch, features: list[list[Features]]) -> _Pass:
        seed, device = self._pipeline.training.seed, self._accelerator.device
        conversations = self._questions(epoch, batch.videos)
        tokens = [self._tokens[video] for video in batch.videos]
        device_generator(device).manual_seed(derived_seed(seed, epoch, *batch.videos))
        with explains_exhaustion(self._pipeline, "training on", tokens, device):
            with self._accelerator.autocast(), draws_of_samples(self._draws(epoch, batch, features)):
                losses: torch.Tensor = self._model([m for media in features for m in media], conversations)
            weights = (self._weights(conversations) * batch.counts).to(device)
            torch.autograd.backward((losses * weights).sum())
        samples = [self._data.samples[video] for video in batch.videos]
        videos = [sample.video for sample in samples for _ in sample.media]
        return _Pass(conversations, videos, losses.detach(), weights)

    def _weights(self, conversations: Sequence[Conversation]) -> torch.Tensor:
        """What each counts for in the step's mean: one, or as many as its answers have tokens."""
        if self._pipeline.training.loss == "answers" or isinstance(self._model, RegressionModel):
            return torch.ones(len(conversations))
        chat = self._model.prompts.chat
        return torch.tensor([float(chat.answer_tokens(each)) for each in conversations])

    def _draws(self, epoch: int, batch: Batch, features: Sequence[Sequence[Features]]) -> Draws:
        seed = self._pipeline.training.seed
        return {
            projector: [
                (len(medium[branch]), derived_seed(seed, epoch, video, number, *_further(place, member)))
                for video, media in zip(batch.videos, features, strict=True)
                for place, medium in enumerate(media)
                if branch in medium
            ]
            for number, (branch, projectors) in enumerate(self._model.projectors.items())
            for member, projector in enumerate(each(projectors))
            if projector.draws
        }

    def _sum(self, values: Sequence[float]) -> list[float]:
        """Each value's sum over the processes."""
        if self._accelerator.num_processes == 1:
            return list(values)
        own = torch.tensor(values, dtype=torch.float64, device=self._accelerator.device)
        return self._accelerator.reduce(own, "sum").tolist()  # type: ignore[no-any-return]

    def _diverged(self, what: str, value: float, passes: Sequence[_Pass]) -> DivergedError:
        """Names the videos whose own loss is no number; where there is none, all of the step's."""
        own = {
            p.videos[medium]
            for p in passes
            for conversation, loss in zip(p.conversations, p.losses.tolist(), strict=False)
            if not math.isfinite(loss)
            for medium in conversation.media
        }
        found = gather_object(sorted(own)) or gather_object([video for p in passes for video in p.videos])
        return DivergedError(
            f"the {what} is {value}; the videos: {', '.join(dict.fromkeys(found))}."
            " Check their features with `python -m store verify`, or lower the learning rate."
        )


def _further(place: int, member: int) -> list[int]:
    """What tells a sample's draws for its further media, and for further members, from the first ones."""
    return [place, member] if member else [place] if place else []
