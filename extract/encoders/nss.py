"""Natural scene statistics: hand-made quality features of each one-second chunk, without any weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.schema import EncoderSettings
from extract.decode import DECODE_VERSION
from extract.encoders.base import Chunk, FrameRequest, StreamShape
from extract.encoders.nss_motion import (
    FROZEN_LEVEL,
    FROZEN_LIMIT,
    FROZEN_SHARE,
    motion_features,
    pair_features,
)
from extract.encoders.nss_statistics import (
    NEIGHBOURS,
    PATCH,
    Plane,
    aggd,
    bands,
    blockiness,
    edge_width,
    ggd,
    halve,
    mscn,
    neighbour_product,
    noise_response,
    patch_means,
    reblur,
)
from extract.errors import EncoderError

VERSION = "1.0.0"
"""Semantic version of the formulas: part of the feature key."""

_REQUESTS = {
    "key": FrameRequest(2, "first", max_lines=540, colour="luma"),
    # No more frames than a second of film has: padding would look like a freeze.
    "motion": FrameRequest(24, "uniform", max_lines=180, colour="luma"),
}


class NssEncoder:
    """Streams `spatial` [1, Ds] and `temporal` [1, Dt], float32, named by SPATIAL and TEMPORAL.

    Of the settings only `streams` applies: there is one set of formulas, and it is stored in float32.
    """

    in_worker = True

    def __init__(self, settings: EncoderSettings) -> None:
        shapes = {
            "spatial": StreamShape((1, len(SPATIAL)), "float32"),
            "temporal": StreamShape((1, len(TEMPORAL)), "float32"),
        }
        kept = settings.streams if settings.streams is not None else tuple(shapes)
        if not kept or not set(kept) <= set(shapes):
            raise EncoderError(
                f"encoders.{settings.name}.streams is {list(kept)}: expected one or both of {list(shapes)}"
            )
        self.streams: Mapping[str, StreamShape] = {name: shapes[name] for name in kept}
        self.requests: Mapping[str, FrameRequest] = dict(_REQUESTS)

    def specification(self) -> dict[str, Any]:
        """See Encoder."""
        return {
            "kind": "nss",
            "version": VERSION,
            "decode": DECODE_VERSION,
            "frames": {
                name: {
                    "count": request.count,
                    "rule": request.rule,
                    "max_lines": request.max_lines,
                    "colour": request.colour,
                }
                for name, request in self.requests.items()
            },
            "patch": PATCH,
            "neighbours": [list(offset) for offset in NEIGHBOURS],
            "frozen": {"level": FROZEN_LEVEL, "share": FROZEN_SHARE, "limit": FROZEN_LIMIT},
            "streams": {name: list(stream.shape) for name, stream in self.streams.items()},
            "features": {"spatial": list(SPATIAL), "temporal": list(TEMPORAL)},
        }

    def encode(self, chunks: Sequence[Chunk]) -> dict[str, NDArray[Any]]:
        """The kept features [N, 1, D] of the chunks."""
        rows = {
            "spatial": [_row(spatial_features(chunk.frames["key"])) for chunk in chunks],
            "temporal": [
                _row(temporal_features(chunk.frames["key"], chunk.frames["motion"])) for chunk in chunks
            ],
        }
        return {
            name: np.array(rows[name], np.float32).reshape(len(chunks), *stream.shape)
            for name, stream in self.streams.items()
        }


def spatial_features(key: NDArray[np.uint8]) -> dict[str, float]:
    """Name → value for the key frame, the first of uint8 [2, H, W]."""
    plane = _plane(key[0])
    half = halve(plane)
    coefficients, deviation = mscn(plane)
    return {
        **_brisque(coefficients, "1"),
        **_brisque(mscn(half)[0], "2"),
        **_sharpness(plane),
        **_noise(plane),
        **_exposure(plane, deviation),
        "blockiness": blockiness(plane),
        "pixels": float(np.log(key.shape[1] * key.shape[2])),
    }


def temporal_features(key: NDArray[np.uint8], motion: NDArray[np.uint8]) -> dict[str, float]:
    """Name → value for the key frame and its successor, uint8 [2, H, W], and small frames uint8 [T, h, w]."""
    return {**pair_features(_plane(key[0]), _plane(key[-1])), **motion_features(motion)}


def _brisque(coefficients: Plane, scale: str) -> dict[str, float]:
    """Fits of the coefficients and of their products; the products' axes and diagonals are averaged."""
    shape, spread = ggd(coefficients)
    fits = np.array([aggd(neighbour_product(coefficients, offset)) for offset in NEIGHBOURS])  # [4, 4]
    features = {f"mscn{scale}_shape": np.log(shape), f"mscn{scale}_deviation": np.log(spread + 0.05)}
    for name, fit in (("axes", fits[:2].mean(axis=0)), ("diagonals", fits[2:].mean(axis=0))):
        features[f"product{scale}_{name}_shape"] = np.log(fit[0])
        features[f"product{scale}_{name}_mean"] = fit[1]
        features[f"product{scale}_{name}_left"] = np.log(fit[2] + 0.02)
        features[f"product{scale}_{name}_right"] = np.log(fit[3] + 0.02)
    return features


def _sharpness(plane: Plane) -> dict[str, float]:
    """Slope of the local spectrum, overall and in the sharpest patches, and three measures of blur."""
    energies = bands(plane, 4)
    means = np.array([band.mean() for band in energies]) + 0.02
    fine = patch_means(energies[0])
    middle = patch_means(energies[1], PATCH // 2)
    coarse = patch_means(energies[2], PATCH // 4)
    slopes = _log_ratio(fine, middle), _log_ratio(middle, coarse)
    return {
        "slope_1_2": float(np.log(means[0] / means[1])),
        "slope_2_3": float(np.log(means[1] / means[2])),
        "slope_3_4": float(np.log(means[2] / means[3])),
        "slope_1_2_sharpest": float(np.quantile(slopes[0], 0.95)),
        "slope_1_2_median": float(np.median(slopes[0])),
        "slope_2_3_sharpest": float(np.quantile(slopes[1], 0.95)),
        "fine_energy": float(np.log(means[0])),
        "fine_energy_sharpest": float(np.log(np.quantile(fine, 0.95) + 0.02)),
        "reblur": reblur(plane),
        "edge_width": float(np.log(edge_width(plane))),
    }


def _noise(plane: Plane) -> dict[str, float]:
    """Level of white noise over the picture, and where there is least else."""
    response = noise_response(plane)
    patches = patch_means(response, PATCH // 2)
    return {
        "noise": np.log(float(response.mean()) + 0.05),
        "noise_flattest": np.log(float(np.quantile(patches, 0.1)) + 0.05),
        "noise_median": np.log(float(np.median(patches)) + 0.05),
    }


def _exposure(plane: Plane, deviation: Plane) -> dict[str, float]:
    """Brightness, contrast, and how much of the picture is flat, black or white."""
    return {
        "brightness": float(plane.mean()) / 255,
        "contrast": np.log(float(plane.std()) + 1),
        "local_contrast": np.log(float(deviation.mean()) + 0.1),
        "flat": float(np.mean(deviation < 0.7)),
        "unequal_neighbours": float(np.mean(plane[:, 1:] != plane[:, :-1])),
        "black": float(np.mean(plane < 8)),
        "white": float(np.mean(plane > 247)),
    }


def _log_ratio(fine: NDArray[np.float32], coarse: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.log((fine + 0.05) / (coarse + 0.05))


def _plane(frame: NDArray[np.uint8]) -> Plane:
    """float32 [H, W], cropped to whole patches; smaller frames are extended by their last row and column."""
    lacking = [(0, max(PATCH - side, 0)) for side in frame.shape]
    height, width = (max(side // PATCH, 1) * PATCH for side in frame.shape)
    return np.pad(frame, lacking, mode="edge")[:height, :width].astype(np.float32)


def _row(features: Mapping[str, float]) -> list[float]:
    return list(features.values())


def _names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    blank = np.zeros((2, PATCH, PATCH), np.uint8)
    return tuple(spatial_features(blank)), tuple(temporal_features(blank, blank))


SPATIAL, TEMPORAL = _names()
"""Names of the features, in the order of the streams' last axis."""
