"""Out of memory, said in words that help."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from config.schema import PipelineSettings
from train.errors import MemoryExhaustedError

_SIGNS = ("can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""In the messages of RuntimeErrors: those of torch's CPU allocator, and of cuBLAS without room to work in."""


@contextmanager
def explains_exhaustion(
    pipeline: PipelineSettings, doing: str, tokens: Sequence[int], device: torch.device
) -> Iterator[None]:
    """Turn a lack of memory within the block into a MemoryExhaustedError.

    `tokens`: of each video that is in memory. The error says what was tried and which settings lower it.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _exhausted(error):
            raise
        raise MemoryExhaustedError(_explanation(pipeline, doing, tokens, device, error)) from error


def _exhausted(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        sign in str(error) for sign in _SIGNS
    )


def _explanation(
    pipeline: PipelineSettings, doing: str, tokens: Sequence[int], device: torch.device, error: Exception
) -> str:
    decoder, budget = pipeline.decoder, pipeline.training.tokens_per_batch
    name = f"pipelines.{pipeline.name}"
    lower = [
        f"{name}.training.tokens_per_batch = {max(tokens)} takes one such video at a time"
        if len(tokens) > 1
        else f"{name}.branches.<branch>.grid or .projector.tokens gives fewer tokens a video"
    ]
    if decoder.dtype == "float32":
        lower.append(f'{name}.decoder.dtype = "bfloat16" halves the decoder')
    if not pipeline.shards:
        lower.append(f"{name}.training.shard_decoder = true divides the decoder among processes")
    return (
        f"out of memory on {device} while {doing} {len(tokens)} videos of {sum(tokens)} tokens together"
        f" (the longest {max(tokens)}; tokens_per_batch = {budget or 'none'}) through {decoder.weights} in"
        f" {decoder.dtype}: {str(error).splitlines()[0]}\n  what lowers it: "
        + "\n                  ".join(lower)
    )
