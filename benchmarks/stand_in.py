"""Encoders that cost nothing, to measure all the rest."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from extract.encoders.base import Encoder, Features, StreamShape
from extract.video.view import Chunk, FrameRequest, View

SIZE = (224, 224)


class StandIn:
    """Gives the mean of each chunk's frames, in the shape of another encoder's features."""

    in_worker = False
    batch = 1

    def __init__(self, request: FrameRequest, stream: str, shape: tuple[int, ...]) -> None:
        self.view = View({"frames": request})
        self.streams: Mapping[str, StreamShape] = {stream: StreamShape(shape, "float16")}

    def specification(self) -> dict[str, Any]:
        """See Encoder."""
        return {"kind": "stand-in", "streams": list(self.streams)}

    def encode(self, chunks: Sequence[Chunk]) -> list[Features]:
        """See Encoder."""
        return [
            {
                name: np.full((1, *stream.shape), chunk.frames["frames"].mean(), np.float16)
                for name, stream in self.streams.items()
            }
            for chunk in chunks
        ]


def stand_ins() -> dict[str, Encoder]:
    """For CLIP ViT-L/14 and SlowFast-R50, as the pipeline lmm-vqa has them."""
    return {
        "clip": StandIn(FrameRequest(1, "first", SIZE, interpolation="bicubic"), "tokens", (256, 1024)),
        "slowfast": StandIn(FrameRequest(32, "uniform", SIZE), "slow", (8, 7, 7, 2048)),
    }
