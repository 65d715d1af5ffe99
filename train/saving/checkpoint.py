"""Checkpoints: a folder that is a model by itself, and beside it what training needs to go on.

checkpoints/step-00000120/         (…-partial within an epoch)
    config.json               see train/saving/description.py
    model.safetensors         all that trains, with the standardisation's statistics; never the decoder
    adapter/                  LoRA in peft's format, where there is one
    README.md                 the model card
    training/                 not needed to use the model
        state.pt              optimiser and schedule
        progress.json         where the run stands
"""

import json
import pickle
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from store.durable.commit import publish_folder, remove, write_file
from train.errors import RunError
from train.model.regression import VideoModel
from train.saving.adapter import has_adapter, load_adapter, read_tensors, save_adapter
from train.saving.description import FILE as DESCRIPTION
from train.saving.description import FORMAT, MODEL_TYPE, write_description
from train.saving.model_card import model_card
from train.saving.run import load_run

TRAINING = "training"
WEIGHTS = "model.safetensors"
ADAPTER = "adapter"
_PROGRESS = f"{TRAINING}/progress.json"
_STATE = f"{TRAINING}/state.pt"


@dataclass
class Progress:
    """Where a run stands: the next step to take, and what validation found so far."""

    epoch: int = 0
    batch: int = 0
    """Optimiser steps of this epoch that are done."""
    step: int = 0
    """Optimiser steps taken in all."""
    history: list[dict[str, float]] = field(default_factory=list)
    best: str | None = None
    """Name of the checkpoint with the best validation SRCC."""
    best_srcc: float | None = None

    @property
    def name(self) -> str:
        """Name of the checkpoint that is saved now."""
        return f"step-{self.step:08d}" + ("-partial" if self.batch else "")


def save_checkpoint(
    folder: Path, model: VideoModel, progress: Progress, training_state: dict[str, Any]
) -> Path:
    """Write a checkpoint beside the others, durably, and drop those that are neither best nor last.

    `folder` is `checkpoints` in a run's folder, whose settings and ties describe the model.
    """
    settings, run = load_run(folder.parent)
    for litter in folder.glob("tmp-*"):
        remove(litter)
    name = progress.name
    temporary = folder / f"tmp-{name}"
    (temporary / TRAINING).mkdir(parents=True)
    write_description(temporary, settings, run)
    _save_weights(temporary, model)
    card = model_card(settings, run, model.trainable_parameters(), progress.history, progress.step)
    (temporary / "README.md").write_text(card, encoding="utf-8")
    torch.save(training_state, temporary / _STATE)
    (temporary / _PROGRESS).write_text(json.dumps(asdict(progress), indent=2))
    remove(folder / name)
    publish_folder(temporary, folder / name)
    for other in checkpoints(folder):
        if other.name not in (name, progress.best):
            remove(other)
    return folder / name


def export(folder: Path, target: Path) -> Path:
    """Copy a run's selected checkpoint, without what only training needs, to a new folder.

    Raises RunError where the run is not finished or the target holds something.
    """
    checkpoint = checkpoint_of(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RunError(f"{target} holds something already: name a new folder, or an empty one")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{target.name}")
    remove(temporary)
    shutil.copytree(checkpoint, temporary, ignore=shutil.ignore_patterns(TRAINING))
    publish_folder(temporary, target)
    return target


def checkpoint_of(folder: Path) -> Path:
    """The folder of the model: a run's selected checkpoint, or the folder itself if it is a checkpoint.

    Raises RunError where it is neither.
    """
    if (folder / DESCRIPTION).is_file():
        return folder
    if (folder / "run.json").is_file():
        return selected(folder / "checkpoints")
    raise RunError(
        f"{folder} is not a run or a trained model: it has neither run.json nor {DESCRIPTION}. `make train`"
        " makes runs; `make demo` makes one without any data or weights"
    )


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(path.parents[1] for path in folder.glob(f"step-*/{_PROGRESS}"))


def read_progress(checkpoint: Path) -> Progress:
    """The progress that a checkpoint was saved with. Raises RunError where its file is damaged."""
    file = checkpoint / _PROGRESS
    try:
        return Progress(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{file} cannot be read: {error}; remove {checkpoint} to continue without") from error


def load_weights(checkpoint: Path, model: VideoModel) -> None:
    """Put a checkpoint's weights into the model. Raises RunError where they are damaged or do not fit."""
    file = checkpoint / WEIGHTS
    tensors = read_tensors(file)
    try:
        trained_parts(model).load_state_dict(tensors)
    except RuntimeError as error:
        raise RunError(f"{file} does not fit the model's settings: {error}") from error
    decoder = getattr(model, "decoder", None)
    wanted = decoder is not None and has_adapter(decoder)
    if (checkpoint / ADAPTER).is_dir() != wanted:
        found, asked = ("no", "a") if wanted else ("a", "no")
        raise RunError(f"{checkpoint} has {found} LoRA adapter, but the run's settings ask for {asked}")
    if decoder is not None and wanted:
        load_adapter(decoder, checkpoint / ADAPTER)


def load_training_state(checkpoint: Path) -> dict[str, Any]:
    """Optimiser and schedule. Raises RunError where the file is damaged."""
    file = checkpoint / _STATE
    try:
        state: dict[str, Any] = torch.load(file, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise RunError(f"{file} cannot be read: {error}; remove {checkpoint} to continue without") from error
    return state


def mark_best(folder: Path, progress: Progress) -> None:
    """Record which checkpoint an evaluation takes."""
    write_file(folder / "selected.json", json.dumps({"checkpoint": progress.best or progress.name}).encode())


def selected(folder: Path) -> Path:
    """The checkpoint that an evaluation takes. Raises RunError where there is none."""
    file = folder / "selected.json"
    if not file.is_file():
        raise RunError(
            f"{folder} has no finished training: run `python -m train`, which continues what was begun"
        )
    try:
        checkpoint = folder / str(json.loads(file.read_text())["checkpoint"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} cannot be read: {error!r}; train the run again to write it anew") from error
    if not (checkpoint / _PROGRESS).is_file():
        raise RunError(f"{checkpoint}, named by {file.name}, is absent or incomplete: train the run again")
    return checkpoint


def _save_weights(folder: Path, model: VideoModel) -> None:
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in trained_parts(model).state_dict().items()
    }
    save_file(state, folder / WEIGHTS, {"format": "pt", "model_type": MODEL_TYPE, "version": str(FORMAT)})
    decoder = getattr(model, "decoder", None)
    if decoder is not None and has_adapter(decoder):
        save_adapter(decoder, folder / ADAPTER)


def trained_parts(model: VideoModel) -> nn.ModuleDict:
    """All parts of the model but the frozen decoder."""
    return nn.ModuleDict({name: part for name, part in model.named_children() if name != "decoder"})
