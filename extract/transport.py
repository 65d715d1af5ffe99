"""Chunks from a decode worker to the main process, through shared memory where there is enough of it."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from extract.encoders.base import Chunk, FrameRequest

_SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class SharedChunks:
    """Chunks whose pictures lie in shared memory: only a handle goes through the pipe between processes."""

    numbers: list[tuple[int, float]]
    """(index, start in seconds) of each chunk."""
    frames: dict[str, torch.Tensor]
    """Request name → uint8 [chunks, count, H, W(, 3)]."""

    def open(self) -> list[Chunk]:
        """The chunks again, without a copy."""
        arrays = {name: tensor.numpy() for name, tensor in self.frames.items()}
        return [
            Chunk(index, start, {name: array[row] for name, array in arrays.items()})
            for row, (index, start) in enumerate(self.numbers)
        ]


def share(chunks: Sequence[Chunk]) -> SharedChunks:
    """Copy the chunks' pictures into shared memory."""
    frames = {}
    for name, first in chunks[0].frames.items():
        tensor = torch.empty((len(chunks), *first.shape), dtype=torch.uint8).share_memory_()
        np.stack([chunk.frames[name] for chunk in chunks], out=tensor.numpy())
        frames[name] = tensor  # [chunks, count, H, W(, 3)]
    return SharedChunks([(chunk.index, chunk.start_seconds) for chunk in chunks], frames)


def fits_shared_memory(requests: Iterable[FrameRequest], chunks_in_flight: int) -> bool:
    """Whether so many chunks fit twice over: a process that overruns shared memory is killed by the system.

    Containers often have only 64 MiB of it. Requests of native size are not known beforehand: they do not.
    """
    wanted = 0
    for request in requests:
        if request.size is None:
            return False
        height, width = request.size
        wanted += request.count * height * width * (3 if request.colour == "rgb" else 1)
    return _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free > 2 * wanted * chunks_in_flight
