"""Natural-scene statistics: a knowledge-driven descriptor of quality, without weights, for any CPU."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from config.schema import EncoderSettings
from extract.encoders.base import Features, StreamShape, chunk_seconds, kept_streams
from extract.encoders.nss.spatial import spatial_features
from extract.encoders.nss.statistics import MSCN_CONSTANT
from extract.encoders.nss.temporal import temporal_features
from extract.video.decode import DECODE_VERSION
from extract.video.view import Chunk, FrameRequest, View

VERSION = "2"
"""Semantic version of the features: raised whenever the same pictures give other numbers."""

KEY_LINES = 540
MOTION_LINES = 180
MOTION_FRAMES = 15
_REQUESTS = {
    "key": FrameRequest(count=2, rule="first", max_lines=KEY_LINES, colour="luma"),
    "row": FrameRequest(count=MOTION_FRAMES, rule="first", max_lines=MOTION_LINES, colour="luma"),
    "spread": FrameRequest(count=MOTION_FRAMES, rule="uniform", max_lines=MOTION_LINES, colour="luma"),
}
_DESCRIPTIONS = {"spatial": spatial_features, "temporal": temporal_features}

_BLAS = ThreadpoolController()
"""Sums over several threads round in another order: with one thread, every process gives the same."""


class NssEncoder:
    """Hand-made statistics of each chunk: `spatial` [1, Ds] and `temporal` [1, Dt], float32, always finite.

    `spatial` describes the key frame; `temporal` its difference to the frame after it, and the motion
    over the chunk at a lower resolution: its first frames in a row, where short freezes show, and frames
    spread over all of it. Fewer frames are asked for than a second of common video has, so that repeated
    ones are the video's own.
    """

    in_worker = True
    batch = 8

    def __init__(self, settings: EncoderSettings | None = None) -> None:
        settings = settings or EncoderSettings(name="nss", kind="nss", dtype="float32")
        self._dtype = settings.array_dtype
        self.view = View(_REQUESTS, chunk_seconds(settings), settings.tail)
        blank = {name: np.zeros((r.count, 64, 64), np.uint8) for name, r in _REQUESTS.items()}
        self.names = {stream: list(described(blank)) for stream, described in _DESCRIPTIONS.items()}
        """Stream → what each of its numbers is called."""
        shapes = {stream: (1, len(names)) for stream, names in self.names.items()}
        self.streams: Mapping[str, StreamShape] = kept_streams(settings, shapes)

    def specification(self) -> dict[str, Any]:
        """The version stands for the formulas, the rest for what they are given."""
        return {
            "kind": "nss",
            "version": VERSION,
            "decode": DECODE_VERSION,
            "chunk_seconds": str(self.view.chunk_seconds),
            "tail": self.view.tail,
            "key_lines": KEY_LINES,
            "motion_lines": MOTION_LINES,
            "motion_frames": MOTION_FRAMES,
            "mscn_constant": MSCN_CONSTANT,
            "streams": {name: list(stream.shape) for name, stream in self.streams.items()},
            "dtype": self._dtype,
        }

    def encode(self, chunks: Sequence[Chunk]) -> list[Features]:
        """`spatial` [1, 1, Ds] and `temporal` [1, 1, Dt] of each chunk."""
        with _BLAS.limit(limits=1, user_api="blas"):
            return [{name: self._described(chunk.frames, name) for name in self.streams} for chunk in chunks]

    def _described(self, frames: Mapping[str, NDArray[np.uint8]], stream: str) -> NDArray[Any]:
        features = _DESCRIPTIONS[stream](frames)
        return np.array([*features.values()], np.float64).astype(self._dtype)[None, None]
