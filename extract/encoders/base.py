"""What an encoder asks of the decoder, and what it gives to the store."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from extract.video.view import Chunk, View
from store.features import StreamShape

__all__ = ["Encoder", "Features", "StreamShape"]

Features = dict[str, NDArray[Any]]
"""Stream name → array [items, *stream shape]."""


class Encoder(Protocol):
    """Frames in, tokens out, and a specification of everything that changes the numbers."""

    view: View
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
