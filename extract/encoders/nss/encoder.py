"""Natural-scene statistics: a knowledge-driven descriptor of quality, without weights, for any CPU."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.schema import EncoderSettings
from extract.encoders.base import Features as Encoded
from extract.encoders.base import StreamShape
from extract.encoders.choices import chunk_seconds, kept_streams
from extract.encoders.nss.motion import flicker_features, motion_features
from extract.encoders.nss.spatial import (
    OCTAVES,
    TILE,
    Features,
    compression_features,
    edge_features,
    exposure_features,
    noise_features,
    octave_features,
    pyramid,
    reblur,
    spectrum_features,
    tile_energies,
)
from extract.encoders.nss.statistics import (
    Plane,
    half,
    local_deviation,
    log_of,
    mscn,
    natural_scene_features,
    natural_scene_names,
)
from extract.video.decode import DECODE_VERSION
from extract.video.view import Chunk, FrameRequest, View

VERSION = "2"
"""Semantic version of the features: raised whenever the same pictures give other numbers."""

KEY_LINES = 540
MOTION_LINES = 180
MOTION_FRAMES = 15
_MSCN_CONSTANT = 1.0
_LEAST_SIDE = 2 * TILE


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
        self._dtype = settings.dtype
        self.view = View(_requests(), chunk_seconds(settings), settings.tail)
        blank = Chunk(
            0,
            0.0,
            {name: np.zeros((r.count, 64, 64), np.uint8) for name, r in self.view.requests.items()},
        )
        self.spatial_names = list(spatial_features(blank))
        self.temporal_names = list(temporal_features(blank))
        shapes = {
            "spatial": StreamShape((1, len(self.spatial_names)), self._dtype),
            "temporal": StreamShape((1, len(self.temporal_names)), self._dtype),
        }
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
            "mscn_constant": _MSCN_CONSTANT,
            "streams": {name: list(stream.shape) for name, stream in self.streams.items()},
            "dtype": self._dtype,
        }

    def encode(self, chunks: Sequence[Chunk]) -> list[Encoded]:
        """`spatial` [1, 1, Ds] and `temporal` [1, 1, Dt] of each chunk."""
        return [{name: self._item(chunk, name) for name in self.streams} for chunk in chunks]

    def _item(self, chunk: Chunk, stream: str) -> NDArray[Any]:
        features = spatial_features(chunk) if stream == "spatial" else temporal_features(chunk)
        return np.array([*features.values()], np.float64).astype(self._dtype)[None, None]


def _requests() -> dict[str, FrameRequest]:
    """The frames of a chunk that are described, as luma planes."""
    return {
        "key": FrameRequest(count=2, rule="first", max_lines=KEY_LINES, colour="luma"),
        "row": FrameRequest(count=MOTION_FRAMES, rule="first", max_lines=MOTION_LINES, colour="luma"),
        "spread": FrameRequest(count=MOTION_FRAMES, rule="uniform", max_lines=MOTION_LINES, colour="luma"),
    }


def spatial_features(chunk: Chunk) -> Features:
    """Statistics of the key frame, by name."""
    luma = chunk.frames["key"][0]
    plane = _large_enough(luma.astype(np.float32))
    levels = pyramid(plane)
    features: Features = {}
    for scale, level in enumerate(levels[:3]):
        features |= _scene_statistics(level, f"nss{scale}", quantiles=True)
        features[f"reblur{scale}"] = reblur(level)
    features |= octave_features(levels)
    features |= edge_features(plane)
    features |= spectrum_features(plane)
    features |= compression_features(plane)
    features |= noise_features(plane)
    features |= exposure_features(plane)
    height, width = luma.shape
    features["log_lines"] = float(np.log2(min(height, width)))
    features["log_aspect"] = float(np.log2(width / height))
    return features


def temporal_features(chunk: Chunk) -> Features:
    """Statistics of the frame difference and of the motion, by name."""
    first, second = (_large_enough(frame.astype(np.float32)) for frame in chunk.frames["key"][:2])
    change = second - first
    features: Features = {}
    for scale, level in enumerate((change, half(change))):
        features |= _scene_statistics(level, f"change{scale}", quantiles=False)
    energies, still = tile_energies(pyramid(change)), tile_energies(pyramid(first))
    for octave in range(OCTAVES):
        least, middle = np.quantile(energies[:, octave], (0.1, 0.5))
        features[f"change_octave{octave}_least"] = log_of(float(least), 0.01)
        features[f"change_octave{octave}"] = log_of(float(middle), 0.01)
        share = np.log((energies[:, octave] + 0.01) / (still[:, octave] + 0.01))
        features[f"change_octave{octave}_share"] = float(np.median(share))
    features |= motion_features(chunk.frames["row"], "row")
    features |= motion_features(chunk.frames["spread"], "spread")
    features |= flicker_features(chunk.frames["spread"], "spread")
    return features


def _scene_statistics(plane: Plane, prefix: str, *, quantiles: bool) -> Features:
    deviation, spread = local_deviation(plane)
    values = natural_scene_features(mscn(deviation, spread, _MSCN_CONSTANT))
    names = natural_scene_names()
    features = {f"{prefix}_{name}": value for name, value in zip(names, values, strict=True)}
    if quantiles:
        for share in (0.1, 0.5, 0.9, 0.99):
            features[f"{prefix}_spread_q{share}"] = log_of(float(np.quantile(spread[::2, ::2], share)), 0.1)
    return features


def _large_enough(plane: Plane) -> Plane:
    """Mirrored until both sides hold two tiles."""
    missing = [max(0, _LEAST_SIDE - side) for side in plane.shape]
    return np.pad(plane, [(0, missing[0]), (0, missing[1])], mode="symmetric") if any(missing) else plane
