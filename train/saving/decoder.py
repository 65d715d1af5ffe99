"""A decoder that was trained: as transformers reads it, and as training goes on with it.

decoder/                      config.json, tokenizer, and safetensors files of up to 5 GB in its dtype
training/state/               float32 weights, optimiser and schedule, by torch.distributed.checkpoint

All processes write their shares of the state, to one file system; any number of processes can read it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor

from config.schema import PipelineSettings
from train.errors import RunError
from train.model.quality import QualityModel
from train.model.regression import VideoModel
from train.saving.digests import verified

DECODER = "decoder"


def trains_decoder(model: VideoModel) -> TypeGuard[QualityModel]:
    """Whether the model's decoder is saved with it."""
    return "decoder" in model.groups()


def save_decoder(folder: Path, model: QualityModel, dtype: torch.dtype, main: bool) -> None:
    """Write the decoder's weights and tokenizer into a new folder; all processes take part, `main` writes.

    It holds one file's tensors at a time; the others, one tensor.
    """
    decoder = model.decoder
    tensors = dict(decoder.named_parameters())  # what is tied is there once
    plan = split_torch_state_dict_into_shards(
        {name: torch.empty_like(tensor, dtype=dtype, device="meta") for name, tensor in tensors.items()},
        filename_pattern="model{suffix}.safetensors",
    )
    if main:
        folder.mkdir()
    for file, names in plan.filename_to_tensors.items():
        held = {}
        for name in names:
            tensor = tensors[name].detach()
            whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if main:
                held[name] = whole.to("cpu", dtype).contiguous()
        if main:
            save_file(held, folder / file, {"format": "pt"})
    if main:
        if plan.is_sharded:
            index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
        decoder.config.save_pretrained(folder)
        model.prompts.chat.tokenizer.save_pretrained(folder)


def with_decoder_in(checkpoint: Path, pipeline: PipelineSettings) -> PipelineSettings:
    """The pipeline with the decoder of a checkpoint that holds one, in place of that which it began with.

    Raises RunError where it is damaged.
    """
    if not (checkpoint / DECODER).is_dir():
        return pipeline
    for file in (checkpoint / DECODER).glob("*.safetensors"):
        verified(checkpoint, f"{DECODER}/{file.name}")
    place = {"weights": str(checkpoint / DECODER), "revision": None, "tokenizer": None}
    return pipeline.model_copy(update={"decoder": pipeline.decoder.model_copy(update=place)})


def frozen(pipeline: PipelineSettings) -> PipelineSettings:
    """The pipeline as its trained decoder is used."""
    groups = {k: v for k, v in pipeline.training.groups.items() if k not in ("decoder", "embeddings")}
    training = pipeline.training.model_copy(update={"groups": groups})
    return pipeline.model_copy(update={"training": training})


def save_state(folder: Path, model: QualityModel, stateful: Mapping[str, Any]) -> None:
    """Write this process's share of what training needs to go on."""
    save(_state(model, stateful), checkpoint_id=folder)


def load_state(folder: Path, model: QualityModel, stateful: Mapping[str, Any]) -> None:
    """Go on where a training with any number of processes was saved. Raises RunError where it is damaged."""
    state = _state(model, stateful)
    try:
        load(state, checkpoint_id=folder)
    except CheckpointException as error:
        causes = "; ".join(f"process {rank}: {cause!r}" for rank, (cause, _) in error.failures.items())
        raise RunError(
            f"{folder} cannot be read: {causes}; remove {folder.parents[1]} to continue without"
        ) from error
    set_model_state_dict(model.decoder, state["decoder"])
    set_optimizer_state_dict(model, stateful["optimizer"], state["optimizer"])
    stateful["schedule"].load_state_dict(state["schedule"])


def _state(model: QualityModel, stateful: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "decoder": get_model_state_dict(model.decoder),
        "optimizer": get_optimizer_state_dict(model, stateful["optimizer"]),
        "schedule": stateful["schedule"].state_dict(),
    }
