"""Memory for frames that is used again: fresh memory costs more time than filling it."""

import numpy as np
from numpy.typing import NDArray

from extract.video.view import Chunk

Shape = tuple[int, ...]


class Buffers:
    """Arrays by shape; used by one thread. There are never more than were in use at the same time."""

    def __init__(self) -> None:
        self._free: dict[Shape, list[NDArray[np.uint8]]] = {}

    def allocate(self, shape: Shape) -> NDArray[np.uint8]:
        """An array with any content."""
        free = self._free.get(shape)
        return free.pop() if free else np.empty(shape, np.uint8)

    def give_back(self, chunk: Chunk) -> None:
        """Take the chunk's arrays back: nobody looks at them any more."""
        for frames in chunk.frames.values():
            self._free.setdefault(frames.shape, []).append(np.asarray(frames))
