"""A decoder whose layers are divided among the processes (FSDP2), read by one of them alone.

Its gradients are summed where they arise, shared out in the same way; in float32, though layers compute in
the decoder's own dtype. A decoder that trains is divided even where there is one process: "among" one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from transformers import PreTrainedModel

from config.schema import PipelineSettings
from train.errors import TrainError
from train.model.decoder import DTYPES
from train.model.quality import embedding_table


def is_sharded(pipeline: PipelineSettings, accelerator: Accelerator) -> bool:
    """Whether each process holds a share of the decoder alone."""
    launched = accelerator.distributed_type == DistributedType.FSDP
    return pipeline.shards or (launched and pipeline.head == "decoder")


def loads_to(pipeline: PipelineSettings, accelerator: Accelerator) -> torch.device | None:
    """Where this process loads the decoder: None is the CPU.

    One that will be divided is read by the main process, and has no weights (`meta`) in the others. Raises
    TrainError where it cannot be divided.
    """
    if not is_sharded(pipeline, accelerator):
        return accelerator.device if accelerator.device.type != "cpu" else None
    if accelerator.num_processes == 1 and not pipeline.trains("decoder"):
        raise TrainError(
            "training.shard_decoder divides the decoder among several processes, but there is one:"
            " start them with `accelerate launch --num_processes N -m train …`"
        )
    if pipeline.decoder.quantised != "none":
        raise TrainError(
            f"training.shard_decoder cannot divide weights held in {pipeline.decoder.quantised}: set"
            " decoder.quantised = none, or leave shard_decoder off"
        )
    return None if accelerator.is_main_process else torch.device("meta")


@contextmanager
def process_group(pipeline: PipelineSettings, accelerator: Accelerator) -> Iterator[None]:
    """Within the block, one process that divides a decoder is a group by itself, as FSDP wants."""
    if dist.is_initialized() or not is_sharded(pipeline, accelerator):
        yield
        return
    store = dist.HashStore()  # type: ignore[attr-defined]
    dist.init_process_group(store=store, rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()


def shard(decoder: PreTrainedModel, pipeline: PipelineSettings, accelerator: Accelerator) -> None:
    """Divide the decoder's layers among the processes; a layer is gathered while it computes.

    The token embeddings and LoRA adapters stay whole everywhere: they are small beside the layers, and the
    embeddings are read outside of the decoder's own forward pass. The weights are the main process's.
    """
    state = decoder.state_dict() if accelerator.is_main_process else {}
    buffers = dict(decoder.named_buffers())
    _renew(decoder, "meta")
    embeddings, output = embedding_table(decoder).weight, decoder.get_output_embeddings()
    whole = {embeddings, *(p for name, p in decoder.named_parameters() if "lora_" in name)}
    options: dict[str, Any] = {
        "mesh": init_device_mesh(accelerator.device.type, (accelerator.num_processes,)),
        "mp_policy": MixedPrecisionPolicy(DTYPES[pipeline.decoder.dtype], torch.float32)
        if pipeline.trains("decoder")
        else MixedPrecisionPolicy(),
        "ignored_params": whole,
        # Left whole after a pass, a module is shared out again where its state is read: in one process alone.
        "reshard_after_forward": True,
    }
    body: Any = decoder.get_decoder()
    parts: list[nn.Module] = [*body.layers, *([output] if output.weight is not embeddings else []), decoder]
    for part in parts:
        sharded: FSDPModule = fully_shard(part, **options)
        sharded.set_gradient_divide_factor(1.0)  # a sum; a step's mean is over its questions
        sharded.set_force_sum_reduction_for_comms(True)
    _renew(decoder, accelerator.device)
    for name, buffer in decoder.named_buffers():
        buffer.copy_(buffers[name])
    set_model_state_dict(
        decoder, state, options=StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    )
    # One that is tied is whole, and so in float32 behind layers that compute in bfloat16.
    output.register_forward_pre_hook(lambda layer, inputs: (inputs[0].to(layer.weight.dtype),))


def _renew(decoder: PreTrainedModel, device: torch.device | str) -> None:
    """Put the decoder there, without its values; what is tied stays tied."""
    decoder.to_empty(device=device)
    decoder.tie_weights()
