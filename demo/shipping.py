"""Puts a trained model where the repository has it: weights, decoder, digests, figures, card."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jinja2
import torch
from safetensors.torch import load_file, save_file

from config.schema import RunSettings
from store.durable.commit import write_file
from train.saving.checkpoint import CARD, CONFIG
from train.saving.decoder import DECODER
from train.saving.digests import write_digests
from train.saving.run import read_run
from train.saving.weights import WEIGHTS

SUMMARY_FILE: Final = "model.json"
"""Beside the weights: data, versions, and how well the model does on videos that it has not seen."""


def install(checkpoint: Path, target: Path, run: RunSettings, summary: Mapping[str, Any]) -> None:
    """Put the model beside its decoder; of the builder's machine, no paths go with it."""
    target.mkdir(parents=True, exist_ok=True)
    decoder = Path(run.pipeline.decoder.weights)
    if decoder.resolve() != (target / DECODER).resolve():
        shutil.rmtree(target / DECODER, ignore_errors=True)
        shutil.copytree(decoder, target / DECODER)
    tied = read_run(checkpoint / CONFIG)
    datasets = tuple(
        each.model_copy(update={"videos": Path(each.name), "labels": Path(Path(str(each.labels)).name)})
        for each in run.datasets
    )
    own = run.pipeline.decoder.model_copy(update={"weights": f"./{DECODER}"})
    pipeline = run.pipeline.model_copy(update={"decoder": own})
    settings = run.model_copy(update={"datasets": datasets, "pipeline": pipeline})
    tied = tied.model_copy(update={"settings": settings})
    save_file(
        {name: _halved(name, tensor) for name, tensor in load_file(checkpoint / WEIGHTS).items()},
        target / WEIGHTS,
        {"format": "pt"},
    )
    tied.write(target / CONFIG)
    write_digests(target, [target / WEIGHTS, *(target / DECODER).glob("*.safetensors")])
    write_file(target / SUMMARY_FILE, (json.dumps(summary, indent=2) + "\n").encode())
    write_file(target / CARD, _card(summary, tied.versions).encode())


def _halved(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Projections in half precision, which moves scores by less than a tenth of a point; statistics whole."""
    return tensor.half() if ".project." in name else tensor


def _card(summary: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    template = Path(__file__).with_name("card.md.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(**summary, versions=versions)
