"""Videos' features, written to stores of every backend and to the peers' formats."""

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.feature_set import FeatureSet
from store.features import FeatureStore

SHAPE = (8, 256, 1024)
"""Chunks, tokens and width of CLIP ViT-L/14's tokens of a video of 8 s."""
VIDEO_BYTES = int(np.prod(SHAPE)) * 2
SETS = {
    "Zarr": ("zarr", "float16"),
    "HDF5": ("hdf5", "float16"),
    "int8": ("zarr", "int8"),
}
"""Name → backend and dtype."""


def tokens() -> NDArray[np.float16]:
    """Features of one video."""
    return np.random.default_rng(0).standard_normal(SHAPE, np.float32).astype(np.float16)


def names(count: int) -> list[str]:
    """Ids of so many videos."""
    return [f"video{number}" for number in range(count)]


def shuffled(videos: list[str]) -> list[str]:
    """The same random order each time."""
    return random.Random(0).sample(videos, len(videos))


def fill(folder: Path, kind: str, videos: list[str], features: NDArray[Any]) -> FeatureSet:
    """Write a feature set anew, each video with one number of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    backend, dtype = SETS[kind]
    found = FeatureStore(folder, backend).feature_set("LSVQ", "clip", {"dtype": dtype})
    with found.writer() as writer:
        for position, video in enumerate(videos):
            features[0, 0, 0] = position
            writer.add(video, {"tokens": features})
    return found
