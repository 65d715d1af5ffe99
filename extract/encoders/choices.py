"""What an encoder's settings choose: the length of its chunks, their frames, the grid and the streams."""

from collections.abc import Mapping
from fractions import Fraction

from config.schema import EncoderSettings
from extract.encoders.base import StreamShape
from extract.errors import EncoderError
from extract.video.view import FrameRequest, Interpolation, View

FRAMES = "frames"
"""Name of the one request of an encoder that runs a model."""


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


def checked_grid(settings: EncoderSettings, axes: tuple[str, ...]) -> tuple[int, ...] | None:
    """The grid, with a positive number for each axis, or None. Raises EncoderError."""
    grid = settings.grid
    if grid is not None and (len(grid) != len(axes) or min(grid) < 1):
        raise EncoderError(
            f"encoders.{settings.name}.grid is {list(grid)}: expected {len(axes)} positive numbers, "
            f"({', '.join(axes)})"
        )
    return grid


def kept_streams(settings: EncoderSettings, shapes: Mapping[str, StreamShape]) -> dict[str, StreamShape]:
    """Those of the encoder's streams that are to be kept. Raises EncoderError."""
    kept = tuple(shapes) if settings.streams is None else settings.streams
    if not kept or not set(kept) <= set(shapes):
        raise EncoderError(
            f"encoders.{settings.name}.streams is {list(kept)}: expected one or more of {list(shapes)}"
        )
    return {name: shapes[name] for name in kept}
