"""Frames whose pictures are their numbers, for what cuts chunks out of videos of any length."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from extract.video.counted import AnyView
from extract.video.cutting import cutter
from extract.video.pictures import Form
from extract.video.view import Chunk, FrameRequest


class NumberedSource:
    """A frame whose picture, uint8 [3, 1, 1], is its number."""

    def __init__(self, number: int) -> None:
        self._digits = np.array([number // 256**2, number // 256 % 256, number % 256], np.uint8)

    def write(self, _form: Form, out: NDArray[np.uint8]) -> None:
        out[:] = self._digits.reshape(out.shape)

    def settle(self) -> None:
        pass


class NumberedMaker:
    """Its pictures are of that form, whatever is asked for."""

    def form(self, _request: FrameRequest) -> Form:
        return Form(1, 1, "stretch", "bilinear", "rgb")


def numbers(pictures: NDArray[np.uint8]) -> list[int]:
    """Which frames they are, [count, 3, 1, 1]."""
    return [int(number) for number in pictures.reshape(-1, 3).astype(int) @ [256**2, 256, 1]]


def numbered_chunks(
    view: AnyView, frames: int, rate: Fraction, after_frame: Callable[[int, list[Chunk]], None] | None = None
) -> list[Chunk]:
    """The chunks of a video of so many frames. `after_frame`: told how many arrays there have been so far,
    and the chunks, after every frame."""
    arrays = 0

    def allocate(_request: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        nonlocal arrays
        arrays += 1
        return np.full(shape, 255, np.uint8)

    cutting = cutter(view, NumberedMaker(), 1 / rate, allocate)  # type: ignore[arg-type]
    chunks: list[Chunk] = []
    for number in range(frames):
        chunks += cutting.add(NumberedSource(number), number / rate)  # type: ignore[arg-type]
        if after_frame:
            after_frame(arrays, chunks)
    chunks += cutting.finish(frames / rate, 1 / rate)
    return chunks
