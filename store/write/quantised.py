"""Features as int8 with a scale for each token: half the disk of float16, read back as float16.

A feature set is quantised where its specification says `dtype: int8`. Its parts then hold two streams for
each that is given: the int8 values under the same name, and NAME.scale, float32, one for each token.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidFeatures
from store.format.marker import SCALE, StreamShape
from store.write.checks import CheckedStream

if TYPE_CHECKING:
    import torch

ERROR = "quantisation_error"
"""In a video's meta data: stream → RMS of what reading changes, by the RMS of the features."""

_LARGEST = 127
_BLOCK = (1 << 15) - 1
"""Numbers that torch works on at once: one more, and it would share the work between threads."""


def scales_of(features: NDArray[np.float16]) -> NDArray[np.float32]:
    """Step between two int8 values of each token: [..., D] → [...]. Finite float16 only."""
    # Without their signs, the bits of half-precision numbers are ordered as the numbers are.
    largest = (features.view("<u2") & 0x7FFF).max(axis=-1).view("<f2")  # [...]
    steps: NDArray[np.float32] = largest.astype(np.float32) / np.float32(_LARGEST)
    return steps


def quantised(features: NDArray[np.float16], scales: NDArray[np.float32]) -> NDArray[np.int8]:
    """The nearest multiples of each token's step, -127 to 127: [..., D]."""
    values = np.empty(features.shape, np.int8)
    for x, step, out in _in_blocks(features, scales, values):
        steps = (x.float() / step.where(step > 0, 1)).numpy()
        # torch would share even this little rounding between threads.
        np.copyto(out.numpy(), np.rint(steps, out=steps), casting="unsafe")
    return values


def restored(
    values: NDArray[np.int8], scales: NDArray[np.float32], out: NDArray[np.float16]
) -> NDArray[np.float16]:
    """Values times steps, into `out` [..., D]: at most half a step from the features, and a rounding."""
    for x, step, block in _in_blocks(values, scales, out):
        block.copy_(x.float().mul_(step))
    return out


def _in_blocks(
    given: NDArray[Any], scales: NDArray[np.float32], out: NDArray[Any]
) -> Iterator[tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]]:
    """Some tokens at a time of `given` and `out` [tokens, D], and their steps [tokens, 1], as tensors.

    torch converts to half precision several times faster than numpy. A block fits into a core's cache, and
    needs none of torch's threads, which do not survive a fork.
    """
    import torch  # late: most of what looks at a store needs no torch

    width = given.shape[-1]
    tokens = max(1, _BLOCK // width)
    yield from zip(
        torch.from_numpy(given.reshape(-1, width)).split(tokens),
        torch.from_numpy(scales.reshape(-1, 1)).split(tokens),
        torch.from_numpy(out.reshape(-1, width)).split(tokens),
        strict=True,
    )


def stored_shapes(streams: Mapping[str, StreamShape]) -> dict[str, StreamShape]:
    """What the parts of a quantised set hold for these streams."""
    shapes: dict[str, StreamShape] = {}
    for name, stream in streams.items():
        shapes[name] = StreamShape(stream.shape, "int8")
        shapes[name + SCALE] = StreamShape(stream.shape[:-1], "float32")
    return shapes


def given_shapes(stored: Mapping[str, StreamShape]) -> dict[str, StreamShape]:
    """Streams as they are given and read, of what the parts hold."""
    return {
        name: StreamShape(stream.shape, "float16") if stream.dtype == "int8" else stream
        for name, stream in stored.items()
        if not name.endswith(SCALE)
    }


class QuantisedVideo:
    """The streams of a part, block by block, that hold a video's streams."""

    def __init__(self, video: str, given: Mapping[str, CheckedStream]) -> None:
        for name, stream in given.items():
            if stream.shape.dtype != "float16" or not stream.shape.shape:
                raise InvalidFeatures(
                    f"{video!r}, stream {name!r}: found {stream.shape.dtype} {list(stream.shape.shape)};"
                    " to be stored as int8, features must be float16 [n, …, width]"
                )
        self._given = given
        self.errors: dict[str, float] = {}
        """Stream → relative RMS error, once its values have been taken."""

    def streams(self) -> dict[str, Iterable[NDArray[Any]]]:
        """Stream of the part → its blocks, to be taken once."""
        taken: dict[str, Iterable[NDArray[Any]]] = {}
        for name, stream in self._given.items():
            taken[name] = self._values(name, stream)
            taken[name + SCALE] = map(scales_of, stream)
        return taken

    def _values(self, name: str, stream: CheckedStream) -> Iterator[NDArray[np.int8]]:
        lost = whole = 0.0
        for given in stream:
            # torch takes no read-only array without a warning.
            block = given if given.flags.writeable else given.copy()
            scales = scales_of(block)
            values = quantised(block, scales)
            read = restored(values, scales, np.empty_like(block))
            for exact, _, found in _in_blocks(block, scales, read):
                lost += float((found.float() - exact.float()).square_().sum())
                whole += float(exact.float().square_().sum())
            yield values
        self.errors[name] = float(f"{(lost / whole) ** 0.5:.4g}") if whole else 0.0
