"""Chunks for the encoders: random ones of the size that they ask for, or cut from frames by hand."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extract.encoders.base import Encoder
from extract.video.decode import decode
from extract.video.view import Chunk


def random_chunks(encoder: Encoder, count: int, seed: int = 0) -> list[Chunk]:
    """`count` chunks of noise."""
    random = np.random.default_rng(seed)
    (name, request), *_ = encoder.view.requests.items()
    assert request.size is not None
    shape = (request.count, 3, *request.size)
    return [Chunk(i, float(i), {name: random.integers(0, 256, shape, np.uint8)}) for i in range(count)]


def decoded_chunks(path: Path, encoder: Encoder) -> list[Chunk]:
    """The video's chunks as the encoder asks for them."""
    return [chunk for _, chunk in decode(path, {"encoder": encoder.view})]


def stacked(features: list[dict[str, NDArray[np.generic]]], stream: str) -> NDArray[np.generic]:
    """[chunks, *stream shape] of an encoder that gives one item a chunk."""
    return np.concatenate([one[stream] for one in features])
