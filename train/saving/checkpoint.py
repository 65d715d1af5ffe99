"""Checkpoints: a folder that is a model by itself, and beside it what training needs to go on.

checkpoints/step-00000120/         (…-partial within an epoch)
    config.json               the run's settings and ties (train/saving/run.py)
    model.safetensors         all that trains, with the standardisation's statistics, but the decoder
    decoder/                  the decoder, where it trains (train/saving/decoder.py)
    adapter/                  LoRA in peft's format, where there is one
    SHA256SUMS                digests of the weights
    README.md                 the model card
    training/                 not needed to use the model
        state.pt              optimiser and schedule; where the decoder trains, a folder `state` of shares
        progress.json         where the run stands
        SHA256SUMS
"""

import json
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from pydantic import BaseModel
from torch.distributed.checkpoint.stateful import Stateful

from config.errors import refusing
from store.durable.commit import publish_folder, remove, write_file
from train.errors import RunError
from train.model.decoder import DTYPES
from train.model.regression import VideoModel
from train.saving.decoder import DECODER, load_state, save_decoder, save_state, trains_decoder
from train.saving.digests import read_digests, verified, write_digests
from train.saving.folder import TEMPORARY, discard, writing
from train.saving.model_card import model_card
from train.saving.run import CHECKPOINTS, RUN, load_run, read_run
from train.saving.weights import WEIGHTS, load_weights, save_weights

CONFIG = "config.json"
CARD = "README.md"
TRAINING = "training"
_PROGRESS = "progress.json"
_STATE = Path("state.pt")
_SELECTED = "selected.json"


class Progress(BaseModel):
    """Where a run stands: the next step to take, and what validation found so far."""

    epoch: int = 0
    batch: int = 0
    """Optimiser steps of this epoch that are done."""
    step: int = 0
    """Optimiser steps taken in all."""
    history: list[dict[str, float]] = []
    best: str | None = None
    """Name of the checkpoint with the best validation SRCC."""
    best_srcc: float | None = None

    @property
    def name(self) -> str:
        """Name of the checkpoint that is saved now."""
        return f"step-{self.step:08d}" + ("-partial" if self.batch else "")


def save_checkpoint(
    folder: Path,
    model: VideoModel,
    progress: Progress,
    stateful: Mapping[str, Stateful],
    main: bool = True,
) -> Path:
    """Write a checkpoint beside the others, durably, and drop those that are neither best nor last.

    `folder` is `checkpoints` in a run's folder, whose settings and ties describe the model. `stateful`: what
    training needs to go on. All processes call it; `main` writes, but for the others' shares. Raises
    RunError where the disk refuses.
    """
    run = load_run(folder.parent)
    final, temporary = folder / progress.name, folder / f"{TEMPORARY}{progress.name}"
    training = temporary / TRAINING
    with writing(folder):
        if main:
            remove(temporary)
            training.mkdir(parents=True)
        if trains_decoder(model):
            dist.barrier()  # the folder is there
            save_decoder(temporary / DECODER, model, DTYPES[run.settings.pipeline.decoder.dtype], main)
            save_state(training / _STATE.stem, model, stateful)
        elif main:
            state = {name: part.state_dict() for name, part in stateful.items()}
            with (training / _STATE).open("wb") as file:
                torch.save(state, file)
        if not main:
            return final
        run.write(temporary / CONFIG)
        save_weights(temporary, model)
        card = model_card(run, model.trainable_parameters(), progress.history, progress.step)
        (temporary / CARD).write_text(card, encoding="utf-8")
        (training / _PROGRESS).write_text(progress.model_dump_json(indent=2))
        write_digests(training, filter(Path.is_file, training.iterdir()))
        discard(final)
        publish_folder(temporary, final)
        for other in checkpoints(folder):
            if other.name not in (progress.name, progress.best):
                discard(other)
    return final


def export(folder: Path, target: Path) -> Path:
    """Copy a run's selected checkpoint, without what only training needs, to a new folder.

    Raises RunError where the run is not finished or damaged, the target holds something, or the disk refuses.
    """
    checkpoint = checkpoint_of(folder)
    read_run(checkpoint / CONFIG)
    for name in {WEIGHTS, *read_digests(checkpoint)}:
        verified(checkpoint, name)
    with writing(target):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise RunError(f"{target} holds something already: name a new folder, or an empty one")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{TEMPORARY}{target.name}")
        remove(temporary)
        shutil.copytree(checkpoint, temporary, ignore=shutil.ignore_patterns(TRAINING))
        publish_folder(temporary, target)
    return target


def checkpoint_of(folder: Path) -> Path:
    """The folder of the model: a run's selected checkpoint, or the folder itself if it is a checkpoint.

    Raises RunError where it is neither.
    """
    if (folder / CONFIG).is_file():
        return folder
    if (folder / RUN).is_file():
        return selected(folder / CHECKPOINTS)
    raise RunError(
        f"{folder} is not a run or a trained model: it has neither {RUN} nor {CONFIG}. `make train`"
        " makes runs; `make demo` makes one without any data or weights"
    )


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(path.parents[1] for path in folder.glob(f"step-*/{TRAINING}/{_PROGRESS}"))


def read_progress(checkpoint: Path) -> Progress:
    """The progress that a checkpoint was saved with. Raises RunError where its file is damaged."""
    file = _training_file(checkpoint, _PROGRESS)
    with refusing(RunError, f"{file} cannot be read"):
        return Progress.model_validate_json(file.read_bytes())


def resume_training(checkpoint: Path, model: VideoModel, stateful: Mapping[str, Stateful]) -> Progress:
    """Put in place all that a checkpoint was saved with. Raises RunError where a file is damaged."""
    load_weights(checkpoint, model)
    if trains_decoder(model):
        load_state(checkpoint / TRAINING / _STATE.stem, model, stateful)
    else:
        state = load_training_state(checkpoint)
        for name, part in stateful.items():
            part.load_state_dict(state[name])
    return read_progress(checkpoint)


def load_training_state(checkpoint: Path) -> dict[str, Any]:
    """Optimiser and schedule. Raises RunError where the file is damaged."""
    file = _training_file(checkpoint, _STATE.name)
    try:
        state: dict[str, Any] = torch.load(file, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise RunError(f"{file} cannot be read: {error}; remove {checkpoint} to continue without") from error
    return state


def mark_best(folder: Path, progress: Progress) -> None:
    """Record which checkpoint an evaluation takes."""
    with writing(folder):
        write_file(folder / _SELECTED, json.dumps({"checkpoint": progress.best or progress.name}).encode())


def selected(folder: Path) -> Path:
    """The checkpoint that an evaluation takes. Raises RunError where there is none."""
    file = folder / _SELECTED
    if not file.is_file():
        raise RunError(
            f"{folder} has no finished training: run `python -m train`, which continues what was begun"
        )
    with refusing(RunError, f"{file} cannot be read; train the run again to write a new one"):
        checkpoint = folder / str(json.loads(file.read_text())["checkpoint"])
    if not (checkpoint / CONFIG).is_file():
        raise RunError(f"{checkpoint}, named by {file.name}, is absent or incomplete: train the run again")
    return checkpoint


def _training_file(checkpoint: Path, name: str) -> Path:
    try:
        return verified(checkpoint / TRAINING, name)
    except RunError as error:
        raise RunError(f"{error}; or remove {checkpoint} to continue without") from error
