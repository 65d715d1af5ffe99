"""The training loop, on Accelerate: step, log, validate, save, and resume where it was stopped."""

import logging
import math
import signal
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from config.interruption import Interrupted, Requests, remembers_signals
from config.schema import PipelineSettings
from train.data.batches import Step, epoch_steps, plan_step, total_steps
from train.data.loading import QualityDataset, loaded
from train.data.questions import TaskQuestions
from train.loop.averaging import WeightAverage
from train.loop.lengths import sequence_tokens
from train.loop.meter import Meter
from train.loop.processes import place
from train.loop.report import Report
from train.loop.schedule import rate_schedule
from train.loop.sharding import is_sharded
from train.loop.stepper import Questions, Stepper
from train.loop.validation import Validator, chosen_by_chance
from train.model.decoder import DTYPES
from train.model.regression import VideoModel
from train.saving.checkpoint import (
    Progress,
    checkpoints,
    mark_best,
    resume_training,
    save_checkpoint,
)

log = logging.getLogger(__name__)

_STOPS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Outcome:
    """How a training run ended."""

    steps: int
    resumed_from_step: int | None
    best_srcc: float | None
    final_loss: float
    stopped_early: bool
    """By `early_stopping`, before all epochs were done."""


class Trainer:
    """Trains what of a model is to train; all its state survives a kill."""

    def __init__(
        self,
        accelerator: Accelerator,
        pipeline: PipelineSettings,
        model: VideoModel,
        train: QualityDataset,
        validation: QualityDataset,
        folder: Path,
        *,
        quiet: bool = False,
        questions: Questions | None = None,
    ) -> None:
        """`questions`: what is asked about the samples; the pipeline's tasks where not given."""
        self.accelerator = accelerator
        self.pipeline = pipeline
        self.settings = settings = pipeline.training
        self.model = model
        self.data = train
        self.folder = folder / "checkpoints"
        self.quiet = quiet
        self.tokens = sequence_tokens(train, model, pipeline.tasks)
        self.validator = Validator(
            accelerator,
            pipeline,
            validation,
            sequence_tokens(validation, model, pipeline.tasks),
            model.prompts.tasks,
        )
        place(model, accelerator, pipeline)
        self.total_steps = total_steps(len(train), settings)
        groups = [
            {"name": name, "params": parameters, "lr": rate, "weight_decay": decay}
            for name, parameters in model.groups().items()
            for rate, decay in [pipeline.rates(name)]
        ]
        self.optimizer = torch.optim.AdamW(groups, betas=settings.betas, fused=True)
        warmup = round(self.total_steps * settings.warmup_share)
        self.schedule = rate_schedule(settings.schedule, self.optimizer, warmup, self.total_steps)
        if questions is None:
            questions = TaskQuestions(train.samples, model.prompts, pipeline.tasks, settings.seed)
        self.stepper = Stepper(accelerator, pipeline, model, train, self.tokens, self.optimizer, questions)
        self.average = WeightAverage([p for group in model.groups().values() for p in group])
        self.stateful: dict[str, Any] = {
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "average": self.average,
        }
        dtype = DTYPES[pipeline.decoder.dtype]
        self.meter = Meter(
            getattr(model, "decoder", None), dtype, accelerator.device, accelerator.num_processes
        )
        self.progress = Progress()
        self._saved = time.monotonic()

    def fit(self) -> Outcome:
        """Train to the end, from the last checkpoint where there is one.

        SIGTERM and Ctrl-C end it after a step, with a checkpoint, by raising Interrupted. Raises what
        `Stepper.take` raises.
        """
        resumed = self._resume()
        loss = math.nan
        self.report = Report(
            self.accelerator, self.pipeline, self.progress.step, self.total_steps, self.quiet
        )
        with remembers_signals() as requests, closing(self.report):
            if self.settings.epochs == 0 and resumed is None:
                self._end_step([0, 0, 0])
            while self.progress.epoch < self.settings.epochs and not self._no_longer_improves():
                loss = self._epoch(requests)
        if self.accelerator.is_main_process:
            mark_best(self.folder, self.progress)
            self._warn_of_chance()
        self.accelerator.wait_for_everyone()
        steps = self.progress.step
        return Outcome(steps, resumed, self.progress.best_srcc, loss, steps < self.total_steps)

    def _epoch(self, requests: Requests) -> float:
        """The rest of the current epoch; returns the last step's loss."""
        loss, epoch = math.nan, self.progress.epoch
        steps = self._plan(epoch)[self.progress.batch :]
        batches = [batch for step in steps for batch in step.batches]
        features = loaded(self.data, batches, self.settings, self.accelerator.device)
        self.model.train()
        self.meter.start()
        for left, step in zip(reversed(range(len(steps))), steps, strict=True):
            result = self.stepper.take(epoch, step, features, self._flags(requests))
            loss, rates = result.loss, self._rates()
            self.schedule.step()
            if epoch >= self.settings.epochs - self.settings.average_last_epochs:
                self.average.add()
            self.progress.step += 1
            self.progress.epoch, self.progress.batch = (
                (epoch, self.progress.batch + 1) if left else (epoch + 1, 0)
            )
            figures = {"loss": loss, **rates, "gradient_norm": result.gradient_norm}
            self.report.step(self.progress.step, figures | self.meter.figures(step.videos, step.tokens))
            self._end_step(result.flags)
            if self._no_longer_improves():
                break
        return loss

    def _rates(self) -> dict[str, float]:
        """Learning rates: one, or, where they differ, each group's."""
        rates = {
            f"learning_rate/{group['name']}": float(group["lr"]) for group in self.optimizer.param_groups
        }
        return rates if len(set(rates.values())) > 1 else {"learning_rate": next(iter(rates.values()))}

    def _plan(self, epoch: int) -> list[Step]:
        budget, here = self.settings.tokens_per_batch, self.accelerator
        return [
            plan_step(
                videos,
                self.tokens,
                budget,
                here.process_index,
                here.num_processes,
                in_step=is_sharded(self.pipeline, here),
            )
            for videos in epoch_steps(len(self.data), self.settings, epoch)
        ]

    def _flags(self, requests: Requests) -> list[bool]:
        """Whether this process is to stop, by each of the signals, and whether it is time to save."""
        minutes = self.settings.save_every_minutes
        due = minutes is not None and time.monotonic() - self._saved >= 60 * minutes
        return [*(requests.signal == stop for stop in _STOPS), due and self.accelerator.is_main_process]

    def _end_step(self, flags: Sequence[int]) -> None:
        """Validate and save where it is time to, and stop where that was asked."""
        *stops, time_is_up = flags
        epoch_ended = self.progress.batch == 0
        validate = bool(self.validator.datasets) and (epoch_ended or self._due("validate_every_steps"))
        if validate:
            self._validate()
        if validate or epoch_ended or time_is_up or any(stops) or self._due("save_every_steps"):
            self._save()
            self.meter.start()
        for stop, asked in zip(_STOPS, stops, strict=True):
            if asked:
                raise Interrupted(
                    f"stopped by {stop.name} after step {self.progress.step} of {self.total_steps};"
                    f" {self.folder / self.progress.name} holds it: the same command continues",
                    stop,
                )

    def _due(self, setting: str) -> bool:
        every: int | None = getattr(self.settings, setting)
        return every is not None and self.progress.step % every == 0

    def _validate(self) -> None:
        """Note SRCC and PLCC of the validation videos; remember the best."""
        with self.average.in_place():
            figures = self.validator.figures(self.model.eval())
        self.model.train()
        progress = self.progress
        if self.settings.average_last_epochs:
            figures["averaged_steps"] = self.average.steps
        progress.history.append({"epoch": progress.epoch, "step": progress.step, **figures})
        self.report.validation(progress.step, figures)
        best = -math.inf if progress.best_srcc is None else progress.best_srcc
        if self.settings.select == "best" and figures["srcc"] > best:
            progress.best_srcc, progress.best = figures["srcc"], progress.name

    def _warn_of_chance(self) -> None:
        """Say so where the best checkpoint is no better than others as far as so few videos can tell."""
        doubt = chosen_by_chance(self.progress.history, self.validator.videos)
        if self.progress.best is not None and doubt is not None:
            log.warning("%s: %s", self.folder / self.progress.best, doubt)

    def _no_longer_improves(self) -> bool:
        patience, found = self.settings.early_stopping, [entry["srcc"] for entry in self.progress.history]
        return patience is not None and bool(found) and len(found) - 1 - found.index(max(found)) >= patience

    def _save(self) -> None:
        self.accelerator.wait_for_everyone()
        main = self.accelerator.is_main_process
        with self.average.in_place():
            save_checkpoint(self.folder, self.model, self.progress, self.stateful, main)
        self._saved = time.monotonic()
        self.accelerator.wait_for_everyone()

    def _resume(self) -> int | None:
        """Continue from the last complete checkpoint, if there is one; returns its step."""
        found = checkpoints(self.folder)
        if not found:
            return None
        self.progress = resume_training(found[-1], self.model, self.stateful)
        return self.progress.step
