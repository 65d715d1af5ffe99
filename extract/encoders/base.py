"""What an encoder asks of the decoder and gives to the store, and what its settings choose of that."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from config.schema import EncoderSettings
from extract.errors import EncoderError
from extract.video.counted import AnyView
from extract.video.view import Chunk, FrameRequest, Interpolation, View
from store.features import StreamShape

__all__ = ["Encoder", "Features", "StreamShape"]

Features = dict[str, NDArray[Any]]
"""Stream name → array [items, *stream shape]."""

FRAMES = "frames"
"""Name of the one request of an encoder that runs a model."""


class Encoder(Protocol):
    """Frames in, tokens out, and a specification of everything that changes the numbers."""

    @property
    def view(self) -> AnyView:
        """How it looks at a video."""
        ...

    streams: Mapping[str, StreamShape]
    in_worker: bool
    """True for encoders without a model, which run inside the decode workers; False for those on a device."""
    batch: int
    """How many chunks, of any videos, `encode` is best given at once."""

    def specification(self) -> dict[str, Any]:
        """All that changes the numbers (architecture, weights digest, layer, preprocessing, sampling,
        dtype, code version) and nothing else: the feature key is its hash. JSON values only."""
        ...

    def encode(self, chunks: Sequence[Chunk]) -> list[Features]:
        """For each chunk its streams, [items, *stream shape]; they depend on that chunk alone.

        They share no memory with its frames, which are overwritten afterwards. `items` is 1 for an
        encoder that gives one block of tokens a chunk. Raises UnreadableVideo where a chunk cannot have
        features: it is then asked for the others of the batch one by one.
        """
        ...


@runtime_checkable
class WholeVideoEncoder(Encoder, Protocol):
    """An encoder that can say only at a video's end what its features are. It runs in the workers alone.

    What `encode` gives of a chunk are arrays [items, …] of any kind, which are kept in memory to the end. It
    may be called by several threads at once.
    """

    items_per_second: Mapping[str, float]
    """About how many items a second has of each stream that is kept, for estimates."""

    def finish(self, features: Features) -> Features:
        """The video's streams, [items, *stream shape], from what `encode` gave of all of its chunks.

        Each array holds those of the chunks, one after the other. Raises UnreadableVideo where the video
        cannot have features.
        """
        ...


def joined(features: Sequence[Features]) -> Features:
    """The arrays of several chunks, one after the other, by name."""
    return {name: np.concatenate([one[name] for one in features]) for name in features[0]}


def chunk_seconds(settings: EncoderSettings, usual: Fraction = Fraction(1)) -> Fraction:
    """Length of a chunk: one over the rate as it is written, exactly; `usual` where none is written."""
    if settings.chunks_per_second is None:
        return usual
    return 1 / Fraction(str(settings.chunks_per_second))


def square_view(settings: EncoderSettings, count: int, side: int, interpolation: Interpolation) -> View:
    """`count` frames of every chunk, side x side; the interpolation is the one that is usual."""
    request = FrameRequest(
        count=count,
        rule=settings.sampling or ("first" if count == 1 else "uniform"),
        size=(side, side),
        resize=settings.resize,
        interpolation=settings.interpolation or interpolation,
    )
    return View({FRAMES: request}, chunk_seconds(settings), settings.tail)


def checked_grid(settings: EncoderSettings, *axes: str) -> tuple[int, ...] | None:
    """The grid, with a positive number for each axis, or None. Raises EncoderError."""
    grid = settings.grid
    if grid is not None and (len(grid) != len(axes) or min(grid) < 1):
        raise EncoderError(
            f"encoders.{settings.name}.grid is {list(grid)}: expected {len(axes)} positive numbers, "
            f"({', '.join(axes)})"
        )
    return grid


def kept_streams(
    settings: EncoderSettings, shapes: Mapping[str, Sequence[int]], further: Sequence[str] = ()
) -> dict[str, StreamShape]:
    """Those of the encoder's streams, of these shapes, that are to be kept. Raises EncoderError.

    `further`: those that are kept only where the settings name them.
    """
    usual = tuple(name for name in shapes if name not in further)
    kept = usual if settings.streams is None else settings.streams
    if not kept or not set(kept) <= set(shapes):
        raise EncoderError(
            f"encoders.{settings.name}.streams is {list(kept)}: expected one or more of {list(shapes)}"
        )
    return {name: StreamShape(tuple(shapes[name]), settings.array_dtype) for name in kept}
