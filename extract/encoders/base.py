"""What an encoder asks of the decoder, and what it gives to the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from store.features import StreamShape

__all__ = ["Chunk", "Encoder", "FrameRequest", "StreamShape"]


@dataclass(frozen=True)
class FrameRequest:
    """The frames that an encoder wants of every one-second chunk.

    rule: `first` takes the chunk's first `count` frames (count 1 is LMM-VQA's key frame), `middle` the
        centre ones, `uniform` indices evenly spread over the chunk. A chunk with fewer frames repeats
        its last one.
    size: (height, width) that every frame is stretched to, or None for native resolution.
    max_lines: with size None, frames whose shorter side exceeds this are scaled down to it, keeping
        their aspect ratio.
    colour: `rgb` gives uint8 [count, H, W, 3]; `luma` gives the full-range luma plane, uint8 [count, H, W].
    """

    count: int
    rule: Literal["first", "middle", "uniform"] = "uniform"
    size: tuple[int, int] | None = None
    max_lines: int | None = None
    colour: Literal["rgb", "luma"] = "rgb"


@dataclass(frozen=True)
class Chunk:
    """One second of a video: the frames that each request asked for."""

    index: int
    start_seconds: float
    frames: Mapping[str, NDArray[np.uint8]]
    """Request name → uint8 [count, H, W, 3] (rgb) or [count, H, W] (luma)."""


class Encoder(Protocol):
    """Frames in, tokens out, and a specification of everything that changes the numbers."""

    requests: Mapping[str, FrameRequest]
    streams: Mapping[str, StreamShape]
    in_worker: bool
    """True for encoders without a model, which run inside the decode workers; False for those on a device."""

    def specification(self) -> dict[str, Any]:
        """All that changes the numbers (architecture, weights digest, layer, preprocessing, sampling,
        dtype, code version) and nothing else: the feature key is its hash. JSON values only."""
        ...

    def encode(self, chunks: Sequence[Chunk]) -> dict[str, NDArray[Any]]:
        """Stream name → array [len(chunks), *stream shape]; a row depends on its own chunk alone."""
        ...
