"""A small encoder that runs in decode workers, and brings its process down at a chosen brightness."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.encoders.base import Chunk, FrameRequest, StreamShape


class FragileEncoder:
    """Mean luma of each chunk; `dies_above` ends the process, as a crash within a decoder would."""

    in_worker = True

    def __init__(self, dies_above: float = np.inf) -> None:
        self._dies_above = dies_above
        self.requests: Mapping[str, FrameRequest] = {"luma": FrameRequest(4, "uniform", colour="luma")}
        self.streams: Mapping[str, StreamShape] = {"mean": StreamShape((4,), "float32")}

    def specification(self) -> dict[str, Any]:
        return {"kind": "mean-luma"}

    def encode(self, chunks: Sequence[Chunk]) -> dict[str, NDArray[Any]]:
        means = np.stack([chunk.frames["luma"].mean((1, 2), dtype=np.float32) for chunk in chunks])
        if means.max() > self._dies_above:
            os._exit(11)
        return {"mean": means}
