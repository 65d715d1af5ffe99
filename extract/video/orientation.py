"""How a file says that its frames are to be shown: turned, mirrored, with pixels that are not square."""

from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

_SQUARE = Fraction(1)
_MOST_STRETCHED = 8


@dataclass(frozen=True)
class Orientation:
    """Transposed first, then its rows and its columns reversed."""

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    def apply(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """View of a decoded [H, W] plane as it is to be shown."""
        shown = plane.T if self.transposed else plane
        if not (self.rows_reversed or self.columns_reversed):
            return shown
        return shown[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]


_UPRIGHT = Orientation()


def orientation(frame: VideoFrame) -> Orientation:
    """The frame's, by its display matrix, to the nearest quarter turn."""
    side_data = cast(SideDataContainer, frame.side_data)  # its stub is another
    if not len(side_data) or "DISPLAYMATRIX" not in side_data:
        return _UPRIGHT
    # A pixel at (column, row) is shown at (a · column + c · row, b · column + d · row).
    a, b, _, c, d = np.frombuffer(memoryview(side_data["DISPLAYMATRIX"]), np.int32, 5).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, d < 0, a < 0)
    return Orientation(True, b < 0, c < 0)


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Width of a pixel, as shown, to its height; 1 where the file does not say, or nothing that can be."""
    declared = stream.sample_aspect_ratio
    if not declared or declared == 1 or not 1 <= _MOST_STRETCHED * declared <= _MOST_STRETCHED**2:
        return _SQUARE
    return declared


def shown_size(frame: VideoFrame, aspect: Fraction = _SQUARE) -> tuple[int, int]:
    """(height, width) of the frame as it is to be shown, its pixels being `aspect` times as wide as high."""
    width = frame.width if aspect is _SQUARE else max(1, round(frame.width * aspect))
    return (width, frame.height) if orientation(frame).transposed else (frame.height, width)
