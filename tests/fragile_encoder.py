"""Small encoders: of the mean luma, in decode workers or on a device, that fail when a test wants them to."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from extract.encoders.base import Features, StreamShape
from extract.video.view import Chunk, FrameRequest, View


class FragileEncoder:
    """Mean luma of each chunk's frames; `dies_above` ends the process, as a crash within a decoder would."""

    in_worker = True
    batch = 1

    def __init__(self, dies_above: float = np.inf) -> None:
        self._dies_above = dies_above
        self.view = View({"luma": FrameRequest(4, "uniform", colour="luma")})
        self.streams = {"mean": StreamShape((4,), "float32")}

    def specification(self) -> dict[str, Any]:
        return {"kind": "mean-luma"}

    def encode(self, chunks: Sequence[Chunk]) -> list[Features]:
        means = [chunk.frames["luma"].mean((1, 2), dtype=np.float32)[None] for chunk in chunks]  # [1, 4]
        if np.max(means) > self._dies_above:
            os._exit(11)
        return [{"mean": mean} for mean in means]


class DeviceEncoder(FragileEncoder):
    """The same on a device, in batches; notes how many chunks each batch had."""

    in_worker = False

    def __init__(self, batch: int = 1) -> None:
        super().__init__()
        self.batch = batch
        self.batches: list[int] = []

    def specification(self) -> dict[str, Any]:
        return {"kind": "mean-luma-on-device"}

    def encode(self, chunks: Sequence[Chunk]) -> list[Features]:
        self.batches.append(len(chunks))
        return super().encode(chunks)


class SeesModules(FragileEncoder):
    """Gives 1 where the process has imported torch or transformers."""

    def encode(self, chunks: Sequence[Chunk]) -> list[Features]:
        """See Encoder."""
        large = {"torch", "transformers", "zarr", "sklearn"} & sys.modules.keys()
        return [{"mean": np.full((1, 4), float(bool(large)), np.float32)} for _ in chunks]


class Clock:
    """Stands still but for what encoding takes."""

    seconds = 0.0

    def perf_counter(self) -> float:
        return self.seconds
