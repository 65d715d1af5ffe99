"""The processes of one training: Accelerate's state, a model in its place, gradients added up.

Every process holds all that trains, but for a decoder that does, of which it holds a share. A step's gradient
is the mean over the questions of all processes: they add up their shares of it.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import ProjectConfiguration, broadcast
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from config.schema import PipelineSettings, TrainingSettings
from train.errors import TrackerError, TrainError
from train.loop.sharding import is_sharded, shard
from train.model.quality import QualityModel
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
        log_with=list(settings.trackers) or None,  # of an empty list it warns that none is installed
        project_config=ProjectConfiguration(project_dir=str(folder), logging_dir=str(folder / "tensorboard")),
    )


@contextmanager
def explains_lost_processes() -> Iterator[None]:
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


def place(model: VideoModel, accelerator: Accelerator, pipeline: PipelineSettings) -> None:
    """Put the model on this process's device, its decoder in shares where asked; all start from the same."""
    if isinstance(model, QualityModel) and is_sharded(pipeline, accelerator):
        shard(model.decoder, pipeline, accelerator)
    for name, part in model.named_children():
        if any(parameter.is_meta for parameter in part.parameters()):  # a copy of what the main process has
            part.to_empty(device=accelerator.device)
        elif name != "decoder" or not is_sharded(pipeline, accelerator):
            part.to(accelerator.device)
    if accelerator.num_processes > 1:
        own = [part for name, part in model.named_children() if name != "decoder"]
        tensors = [*trained(model), *(t for part in own for t in (*part.parameters(), *part.buffers()))]
        for tensor in dict.fromkeys(tensors):
            if not isinstance(tensor, DTensor):
                tensor.data.copy_(broadcast(tensor.data))


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that train."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def add_gradients(accelerator: Accelerator, parameters: Sequence[nn.Parameter]) -> None:
    """Replace each whole gradient by its sum over the processes, in one transfer; shares are sums already."""
    whole = [parameter for parameter in parameters if not isinstance(parameter, DTensor)]
    for parameter in whole:  # in a step without its branch, too, as where only another process has it
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    if accelerator.num_processes == 1 or not whole:
        return
    gradients = [parameter.grad for parameter in whole if parameter.grad is not None]
    summed = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "sum")
    for gradient, part in zip(gradients, summed.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def clip_gradients(parameters: Sequence[nn.Parameter], bound: float) -> float:
    """Scale the gradients to a norm of at most `bound`, whole and shared ones together; the norm before."""
    kinds = [[p for p in parameters if isinstance(p, DTensor) is shared] for shared in (False, True)]
    norms = [get_total_norm([p.grad for p in kind if p.grad is not None]) for kind in kinds if kind]
    norm = get_total_norm([norm.full_tensor() if isinstance(norm, DTensor) else norm for norm in norms])
    for kind in kinds:
        clip_grads_with_norm_(kind, bound, norm)
    return float(norm)
