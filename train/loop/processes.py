"""The processes of one training: Accelerate's state, a sharded decoder, gradients added up.

Every process holds all that trains, so that checkpoints, optimiser and clipping are the same with one process
or many. A step's gradient is the mean over the questions of all processes: they add up their shares of it.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import DistributedType, ProjectConfiguration, broadcast
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import PreTrainedModel

from config.schema import TrainingSettings
from train.errors import TrackerError, TrainError
from train.model.quality import QualityModel, embedding_table
from train.model.regression import VideoModel

_LOST = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "remote process exited",
    "Socket",
)
"""In the messages of gloo, NCCL and the store through which processes find each other."""
_MIXED_PRECISION = {"float32": "no", "bfloat16": "bf16"}


def make_accelerator(settings: TrainingSettings, folder: Path) -> Accelerator:
    """Accelerate's view of the processes, logging into the run's folder.

    Raises TrackerError, and TrainError where a launcher started one process instead of several.
    """
    check_trackers(settings.trackers)
    torch.backends.cuda.matmul.allow_tf32 = settings.step.tf32
    # `accelerate launch` says where several processes are to meet, but on a CPU it starts them by MPI alone.
    if {"ACCELERATE_DYNAMO_BACKEND", "MASTER_PORT"} <= os.environ.keys() and "WORLD_SIZE" not in os.environ:
        raise TrainError(
            "`accelerate launch` was asked for several processes, but started one: on a CPU start them with"
            " `ACCELERATE_USE_CPU=true python -m torch.distributed.run --nproc_per_node=N -m -- train …`"
        )
    return Accelerator(
        mixed_precision=_MIXED_PRECISION[settings.precision],
        log_with=list(settings.trackers),
        project_config=ProjectConfiguration(project_dir=str(folder), logging_dir=str(folder / "tensorboard")),
    )


@contextmanager
def tells_of_lost_processes() -> Iterator[None]:
    """Turn what the processes' connection raises within the block, as another is gone, into a TrainError."""
    try:
        yield
    except RuntimeError as error:
        if not dist.is_initialized() or not any(sign in str(error) for sign in _LOST):
            raise
        raise TrainError(
            f"another process of this training ended, so that this one, of rank {dist.get_rank()}, cannot go"
            " on: its own message says why, or the system's log, if it was killed. The same command continues"
            f" from the last checkpoint. ({str(error).splitlines()[0]})"
        ) from error


def check_trackers(names: Sequence[str]) -> None:
    """Raise TrackerError for a name that accelerate does not know or whose library is not installed."""
    known = sorted(str(name) for name in LOGGER_TYPE_TO_CLASS)
    installed = sorted(str(name) for name in get_available_trackers())
    for name in names:
        if name not in known:
            raise TrackerError(f"training.trackers names {name!r}; accelerate knows {', '.join(known)}")
        if name not in installed:
            raise TrackerError(
                f"training.trackers names {name!r}, but its library is not installed: install it,"
                f" or choose of {', '.join(installed)}"
            )


def is_sharded(settings: TrainingSettings, accelerator: Accelerator) -> bool:
    """Whether each process holds a share of the decoder alone."""
    return settings.shard_decoder or accelerator.distributed_type == DistributedType.FSDP


def place(model: VideoModel, accelerator: Accelerator, settings: TrainingSettings) -> None:
    """Put the model on this process's device, its decoder in shares where asked; all start from the same."""
    if is_sharded(settings, accelerator) and isinstance(model, QualityModel):
        _shard(model.decoder, accelerator)
        model.projectors.to(accelerator.device)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(accelerator.device)
    else:
        model.to(accelerator.device)
    if accelerator.num_processes > 1:
        for tensor in [*trained(model), *model.projectors.buffers()]:
            tensor.data.copy_(broadcast(tensor.data))


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that train."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def add_gradients(accelerator: Accelerator, parameters: Sequence[nn.Parameter]) -> None:
    """Replace each gradient by its sum over the processes, in one transfer."""
    if accelerator.num_processes == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    summed = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "sum")
    for gradient, part in zip(gradients, summed.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def _shard(decoder: PreTrainedModel, accelerator: Accelerator) -> None:
    """Divide the decoder's layers among the processes; a layer is gathered while it computes.

    The token embeddings, the output layer and LoRA adapters stay whole everywhere: they are small beside
    the layers, and the embeddings are read outside of the decoder's own forward pass.
    """
    if not dist.is_initialized():
        raise TrainError(
            "training.shard_decoder divides the decoder among several processes, but there is one:"
            " start them with `accelerate launch --num_processes N -m train …`"
        )
    packed = [name for name, p in decoder.named_parameters() if not p.is_floating_point()]
    if packed:
        raise TrainError(
            f"training.shard_decoder cannot divide quantised weights such as {packed[0]}: load the decoder"
            " in bfloat16, or leave shard_decoder off"
        )
    body: Any = decoder.get_decoder()
    whole = {*embedding_table(decoder).parameters(), *trained(decoder)}
    device = accelerator.device
    options: dict[str, Any] = {
        "mesh": init_device_mesh(device.type, (accelerator.num_processes,)),
        "ignored_params": whole,
        # Left whole after a pass, a module is shared out again where its state is read: in one process alone.
        "reshard_after_forward": True,
    }
    for layer in body.layers:
        fully_shard(layer, **options)
    fully_shard(body, **options)
    for parameter in [*whole, *decoder.get_output_embeddings().parameters()]:
        parameter.data = parameter.data.to(device)
