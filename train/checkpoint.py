"""Checkpoints: only what trains, as safetensors, with the optimiser's state and the place in the data.

checkpoints/step-00000120/         (…-partial within an epoch)
    projectors.safetensors    projectors with their standardisation statistics
    adapter.safetensors       LoRA, where there is one
    optimizer.pt              optimiser and schedule
    progress.json             written last: that it exists means the checkpoint is complete
"""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from store.commit import publish_folder, write_file
from train.errors import RunError
from train.model import QualityModel

_PROGRESS = "progress.json"


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
    folder: Path, model: QualityModel, progress: Progress, training_state: dict[str, Any]
) -> Path:
    """Write a checkpoint beside the others, durably, and drop those that are neither best nor last."""
    name = progress.name
    temporary = folder / f"tmp-{name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(_contiguous(model.projectors.state_dict()), temporary / "projectors.safetensors")
    adapter = adapter_state(model)
    if adapter:
        save_file(adapter, temporary / "adapter.safetensors")
    torch.save(training_state, temporary / "optimizer.pt")
    (temporary / _PROGRESS).write_text(json.dumps(asdict(progress), indent=2))
    shutil.rmtree(folder / name, ignore_errors=True)
    publish_folder(temporary, folder / name)
    for other in checkpoints(folder):
        if other.name not in (name, progress.best):
            shutil.rmtree(other)
    return folder / name


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{_PROGRESS}"))


def read_progress(checkpoint: Path) -> Progress:
    """The progress that a checkpoint was saved with."""
    return Progress(**json.loads((checkpoint / _PROGRESS).read_text()))


def load_weights(checkpoint: Path, model: QualityModel) -> None:
    """Put a checkpoint's projectors and adapter into the model. Raises RunError where they do not fit."""
    try:
        model.projectors.load_state_dict(load_file(checkpoint / "projectors.safetensors"))
    except RuntimeError as error:
        raise RunError(f"{checkpoint}: its projectors do not fit the run's settings: {error}") from error
    expected = adapter_state(model)
    file = checkpoint / "adapter.safetensors"
    if file.is_file() != bool(expected):
        found, wanted = ("a", "no") if file.is_file() else ("no", "a")
        raise RunError(f"{checkpoint} has {found} LoRA adapter, but the run's settings ask for {wanted}")
    if expected:
        model.decoder.load_state_dict(load_file(file), strict=False)


def load_training_state(checkpoint: Path) -> dict[str, Any]:
    """Optimiser and schedule."""
    state: dict[str, Any] = torch.load(checkpoint / "optimizer.pt", weights_only=True)
    return state


def adapter_state(model: QualityModel) -> dict[str, torch.Tensor]:
    """The LoRA tensors by name; empty without an adapter."""
    return {
        name: tensor.contiguous() for name, tensor in model.decoder.state_dict().items() if "lora_" in name
    }


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
    checkpoint = folder / str(json.loads(file.read_text())["checkpoint"])
    if not (checkpoint / _PROGRESS).is_file():
        raise RunError(f"{checkpoint}, named by {file.name}, is absent or incomplete: train the run again")
    return checkpoint


def _contiguous(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.contiguous() for name, tensor in state.items()}
