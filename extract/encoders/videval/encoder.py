"""VIDEVAL: 60 features of distortions and motion that were chosen by how people judge user-made videos."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from config.schema import EncoderSettings
from extract.encoders.base import Features, StreamShape, kept_streams
from extract.encoders.videval import pooling
from extract.encoders.videval.chroma import chroma_features
from extract.encoders.videval.frames import colour_planes, luma_plane
from extract.encoders.videval.high import high_features
from extract.encoders.videval.luma import luma_features
from extract.encoders.videval.memory import keep_freed_memory
from extract.encoders.videval.motion import motion_features, prepared, stands_still
from extract.encoders.videval.sampling import HIGH, ROWS, VARIANTS
from extract.video.counted import CountedView
from extract.video.decode import DECODE_VERSION
from extract.video.view import Chunk, FrameRequest

VERSION = "1"
"""Semantic version of the features: raised whenever the same pictures give other numbers."""

USUAL_VARIANT = "light480-3fps"
_USUAL_FPS = 30
_BLOCK = "block"
STILL = "still"
"""A stream that no published matrix has."""
_PICTURES = FrameRequest(0, "all", colour="yuv420")

_LIBRARIES = ThreadpoolController()
"""Sums over several threads round in another order: with one thread, every process gives the same. And
strips of pixels are too little work for several, which wait for each other where cores are busy."""


class VidevalEncoder:
    """The features of Tu et al., "UGC-VQA: Benchmarking Blind Video Quality Assessment for User Generated
    Content", IEEE TIP 2021, as their published feature matrices have them.

    `features` [K, 1, 60], K about the seconds: their plain mean is the video's vector of 60, which the
    published models take. Where the settings name them: `frames` [n, 50], of every sampled frame the numbers
    that are pooled; `still` [K, 1, 1], the share of a second's sampled frames after which the picture stays
    as it is, which no published matrix has.
    Always finite; see `pooling.filled`.
    """

    in_worker = True
    batch = 1

    def __init__(self, settings: EncoderSettings | None = None) -> None:
        settings = settings or EncoderSettings(name="videval", kind="videval", dtype="float32")
        self._variant_name = settings.variant or USUAL_VARIANT
        self._variant = VARIANTS[self._variant_name]
        self.view = CountedView({ROWS: _PICTURES, HIGH: _PICTURES}, self._variant)
        self.names = {
            "features": list(pooling.NAMES),
            "frames": list(pooling.FRAME_NAMES),
            STILL: ["share of frames"],
        }
        """Stream → what each of its numbers is called."""
        shapes = {"features": (1, len(pooling.NAMES)), "frames": (len(pooling.FRAME_NAMES),), STILL: (1, 1)}
        self.streams: Mapping[str, StreamShape] = kept_streams(settings, shapes, further=("frames", STILL))
        items = {"features": 1.0, "frames": float(self._variant.rows(_USUAL_FPS)), STILL: 1.0}
        self.items_per_second = {name: items[name] for name in self.streams}

    def specification(self) -> dict[str, Any]:
        """The version stands for the formulas, the rest for what they are given."""
        return {
            "kind": "videval",
            "version": VERSION,
            "decode": DECODE_VERSION,
            "variant": self._variant_name,
            "streams": {name: list(stream.shape) for name, stream in self.streams.items()},
            "dtype": "float32",
        }

    def encode(self, chunks: Sequence[Chunk]) -> list[Features]:
        """Of each chunk `rows` [n, 50], `still` [n], `high` [m, 6] and how many rows it has, `block` [1]."""
        keep_freed_memory()
        with _LIBRARIES.limit(limits=1):
            return [self._numbers(chunk.frames[ROWS], chunk.frames[HIGH]) for chunk in chunks]

    def finish(self, features: Features) -> Features:
        """See WholeVideoEncoder. The first chunk is full, or the only one."""
        rows, block = features[ROWS], int(features[_BLOCK][0])
        seconds = pooling.seconds(rows, features[HIGH], block)
        streams = {
            "features": seconds[:, None],
            "frames": pooling.filled(rows),
            STILL: pooling.still_shares(features[STILL], block, len(seconds))[:, None],
        }
        return {name: streams[name].astype(np.float32) for name in self.streams}

    def _numbers(self, pictures: NDArray[np.uint8], high_pictures: NDArray[np.uint8]) -> Features:
        """`pictures` [1 + 2n, H * 3/2, W]: one frame, and then each sampled one with the one after it."""
        ratio = self._variant.ratio(pictures.shape[1] * 2 // 3, pictures.shape[2])
        before = prepared(luma_plane(pictures[0], ratio))
        rows, still = [], []
        for this, following in zip(pictures[1::2], pictures[2::2], strict=True):
            y, u, v = colour_planes(this, ratio)
            now, after = prepared(y), prepared(luma_plane(following, ratio))
            motion = motion_features(before, now, after)
            rows.append(np.concatenate([luma_features(y), chroma_features(y, u, v), motion]))
            still.append(stands_still(now, after))
            before = after
        high = [high_features(*colour_planes(picture, ratio)) for picture in high_pictures]
        return {
            ROWS: np.stack(rows),
            STILL: np.array(still, np.float64),
            HIGH: np.array(high).reshape(len(high), -1) if high else np.zeros((0, 6)),
            _BLOCK: np.array([len(rows)]),
        }
