"""The training loop, on Accelerate: step, log, validate, save, and resume where it was stopped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration, set_seed
from scipy.stats import spearmanr
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import get_scheduler

from config.schema import PipelineSettings
from train.checkpoint import (
    Progress,
    checkpoints,
    load_training_state,
    load_weights,
    mark_best,
    read_progress,
    save_checkpoint,
)
from train.data import QualityDataset, epoch_batches, keep_lists, phrasing
from train.errors import DivergedError
from train.model import QualityModel, Question
from train.predict import expected_scores


@dataclass(frozen=True)
class Outcome:
    """How a training run ended."""

    steps: int
    resumed_from_step: int | None
    best_srcc: float | None
    final_loss: float


class Trainer:
    """Trains a model's projectors (and adapter) on one dataset; all its state survives a kill."""

    def __init__(
        self,
        pipeline: PipelineSettings,
        model: QualityModel,
        train: QualityDataset,
        validation: QualityDataset | None,
        folder: Path,
        *,
        quiet: bool = False,
    ) -> None:
        self.settings = pipeline.training
        self.tasks = pipeline.tasks
        self.train_data = train
        self.validation = validation if validation is not None and len(validation) > 2 else None
        self.folder = folder
        self.quiet = quiet
        self.progress = Progress()
        if self.settings.threads is not None:
            torch.set_num_threads(self.settings.threads)
        set_seed(self.settings.seed)
        self.accelerator = Accelerator(
            log_with="tensorboard",
            project_config=ProjectConfiguration(
                project_dir=str(folder), logging_dir=str(folder / "tensorboard")
            ),
            step_scheduler_with_optimizer=False,
        )
        self.total_steps = self._steps_per_epoch() * self.settings.epochs
        parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            parameters, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )
        schedule = get_scheduler(
            self.settings.schedule,
            optimizer,
            num_warmup_steps=round(self.total_steps * self.settings.warmup_share),
            num_training_steps=self.total_steps,
        )
        self.model, self.optimizer, self.schedule = self.accelerator.prepare(model, optimizer, schedule)

    @property
    def bare_model(self) -> QualityModel:
        """The model without its distributed wrapper."""
        return self.accelerator.unwrap_model(self.model)  # type: ignore[no-any-return]

    def fit(self) -> Outcome:
        """Train to the end, from the last checkpoint where there is one."""
        resumed = self._resume()
        self.accelerator.init_trackers(".")
        loss = math.nan
        bar = tqdm(
            total=self.total_steps, initial=self.progress.step, desc="train", unit="step", disable=self.quiet
        )
        for epoch in range(self.progress.epoch, self.settings.epochs):
            self.model.train()
            for batches in self._groups(epoch):
                loss = self._step(epoch, batches)
                bar.update()
                bar.set_postfix(loss=f"{loss:.3f}", srcc=self.progress.best_srcc)
                self.accelerator.log({"loss": loss, "lr": self.schedule.get_last_lr()[0]}, self.progress.step)
                every = self.settings.save_every_steps
                if every and self.progress.step % every == 0:
                    self._save()
            self.progress.epoch, self.progress.batch = epoch + 1, 0
            self._validate()
            self._save()
        bar.close()
        if self.accelerator.is_main_process:
            mark_best(self.folder / "checkpoints", self.progress)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return Outcome(self.progress.step, resumed, self.progress.best_srcc, loss)

    def _steps_per_epoch(self) -> int:
        processes: int = self.accelerator.num_processes
        videos = self.settings.batch_size * self.settings.accumulate * processes
        return math.ceil(len(self.train_data) / videos)

    def _groups(self, epoch: int) -> Any:
        """The epoch's remaining optimiser steps, each a list of batches to accumulate."""
        batches = epoch_batches(len(self.train_data), self.settings, epoch)[self.progress.batch :]
        own_generator = torch.Generator()  # iterating must not draw from the state that a resume restores
        loader = self.accelerator.prepare_data_loader(
            DataLoader(
                self.train_data, batch_sampler=batches, collate_fn=keep_lists, generator=own_generator
            ),
            device_placement=True,
        )
        group: list[Any] = []
        for batch in loader:
            group.append(batch)
            if len(group) == self.settings.accumulate:
                yield group
                group = []
        if group:
            yield group

    def _step(self, epoch: int, batches: Sequence[Any]) -> float:
        """One optimiser step over accumulated batches; the loss is the mean over their questions."""
        videos = sum(len(indices) for indices, _ in batches)
        total = 0.0
        for indices, features in batches:
            losses = self.model(features, self._questions(epoch, indices))  # [questions]
            loss = losses.sum() / (videos * len(self.tasks))
            self.accelerator.backward(loss)
            total += loss.item()
        if not math.isfinite(total):
            ids = [self.train_data.samples[i].video for indices, _ in batches for i in indices]
            raise DivergedError(
                f"the loss is {total} at step {self.progress.step + 1}; the batch's videos: {', '.join(ids)}."
                " Check their features with `python -m store verify`, or lower the learning rate."
            )
        if self.settings.gradient_clip is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.progress.step += 1
        self.progress.batch += len(batches) * self.accelerator.num_processes
        return total

    def _questions(self, epoch: int, indices: Sequence[int]) -> list[Question]:
        questions = []
        for position, index in enumerate(indices):
            sample = self.train_data.samples[index]
            for number, task in enumerate(self.tasks):
                wordings = self.bare_model.prompts.phrasings(task)
                value: int | str = round(sample.score) if task == "score" else sample.level
                drawn = phrasing(self.settings, epoch, index, number, wordings)
                questions.append(Question(position, task, drawn, value))
        return questions

    def _validate(self) -> None:
        """SRCC of the expected score on the validation split; remembers the best."""
        if self.validation is None:
            return
        model = self.bare_model.eval()
        scores: list[float] = []
        with torch.inference_mode():
            loader = DataLoader(
                self.validation,
                batch_size=self.settings.batch_size,
                collate_fn=keep_lists,
                generator=torch.Generator(),
            )
            for _, features in loader:
                on_device = [
                    {k: v.to(self.accelerator.device) for k, v in video.items()} for video in features
                ]
                scores += expected_scores(model, model.visual_tokens(on_device))[0]
        mos = [sample.mos for sample in self.validation.samples]
        srcc = float(spearmanr(mos, scores).statistic) if len(set(scores)) > 1 else 0.0
        self.progress.history.append({"epoch": self.progress.epoch, "step": self.progress.step, "srcc": srcc})
        self.accelerator.log({"validation/srcc": srcc}, self.progress.step)
        if self.settings.select == "best" and srcc > (self.progress.best_srcc or -math.inf):
            self.progress.best_srcc, self.progress.best = srcc, self.progress.name

    def _save(self) -> None:
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            state = {
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "rng": torch.get_rng_state(),
                "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            }
            save_checkpoint(self.folder / "checkpoints", self.bare_model, self.progress, state)

    def _resume(self) -> int | None:
        """Continue from the last complete checkpoint, if there is one; returns its step."""
        found = checkpoints(self.folder / "checkpoints")
        if not found:
            return None
        load_weights(found[-1], self.bare_model)
        state = load_training_state(found[-1])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"]:
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        self.progress = read_progress(found[-1])
        return int(self.progress.step)
