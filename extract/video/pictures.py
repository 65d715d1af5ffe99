"""Decoded frames to pictures: turned as they are to be shown, scaled and converted, once for each form."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from extract.video.view import FrameRequest, Resize
from extract.video.yuv420 import as_yuv420, even_size, planes_of

Picture = NDArray[np.uint8]
"""uint8 [3, H, W] (rgb), [H, W] (luma) or [H * 3/2, W] (yuv420)."""

# Chroma at full resolution brings swscale from 38–44 dB to 48–57 dB of an exact filter; FAST_BILINEAR is only
# 23 dB from it. Planar RGB takes half the time of packed RGB. The other two flags cost nothing, and give the
# same bits on every CPU. Plain numbers: the enumerations' own arithmetic is slow.
_EXACT = Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_FLAGS = {"bilinear": int(Interpolation.BILINEAR | _EXACT), "bicubic": int(Interpolation.BICUBIC | _EXACT)}
_FULL_RANGE = int(ColorRange.JPEG)
# swscale takes all grey for BT.601, and would turn BT.709 luma into that through RGB: up to 35 levels off.
_KEEPS_LUMA = int(Colorspace.ITU601)
_FORMATS = {"luma": VideoFormat("gray"), "rgb": VideoFormat("gbrp")}
_PLANES = {"luma": (0,), "rgb": (2, 0, 1), "yuv420": (0, 1, 2)}
_SQUARE = Fraction(1)
_MOST_STRETCHED = 8


@dataclass(frozen=True)
class Orientation:
    """How a frame is to be shown: transposed first, then its rows and its columns reversed."""

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    def apply(self, plane: Picture) -> Picture:
        """View of a decoded [H, W] plane as it is to be shown."""
        shown = plane.T if self.transposed else plane
        if not (self.rows_reversed or self.columns_reversed):
            return shown
        return shown[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]


def orientation(frame: VideoFrame) -> Orientation:
    """The frame's, by its display matrix, to the nearest quarter turn."""
    side_data = cast(SideDataContainer, frame.side_data)  # its stub is another
    if not len(side_data) or "DISPLAYMATRIX" not in side_data:
        return Orientation()
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


def shown_size(frame: VideoFrame, shown: Orientation, aspect: Fraction = _SQUARE) -> tuple[int, int]:
    """(height, width) of the frame as it is to be shown, its pixels being `aspect` times as wide as high."""
    width = frame.width if aspect is _SQUARE else max(1, round(frame.width * aspect))
    return (width, frame.height) if shown.transposed else (frame.height, width)


@dataclass(frozen=True)
class Form:
    """What a picture is to be like: (height, width) of the array, and how a frame is brought to it."""

    height: int
    width: int
    resize: Resize
    interpolation: str
    colour: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        if self.colour == "yuv420":
            return (self.height * 3 // 2, self.width)
        return (self.height, self.width) if self.colour == "luma" else (3, self.height, self.width)

    def channels(self, picture: Picture) -> Sequence[Picture]:
        """Views of the picture's planes."""
        if self.colour == "yuv420":
            return planes_of(picture)
        return (picture,) if self.colour == "luma" else tuple(picture)


def scaled_size(height: int, width: int, form: Form) -> tuple[int, int]:
    """(height, width) to which a frame of that size, as shown, is scaled for a picture of that form.

    Where it is another size than the picture's, the frame lies in its middle. Rounded down, as Hugging
    Face's image processors do.
    """
    if form.resize == "stretch":
        return form.height, form.width
    fills_height = form.height * width > form.width * height  # scaled to the picture's width, it is too low
    if fills_height == (form.resize == "crop"):
        return form.height, max(1, form.height * width // height)
    return max(1, form.width * height // width), form.width


class PictureMaker:
    """Makes the pictures that the requests for one video ask for, with one scaler for each form.

    `first`: the video's first frame. Native sizes are its own, turned as it is to be shown, so that a video
    whose resolution changes still gives arrays of one shape. `aspect`: of a pixel's width to its height;
    frames are cropped and padded as they are shown, while native ones keep the pixels that were stored.
    `seconds`: spent on scaling so far.
    """

    def __init__(self, first: VideoFrame, aspect: Fraction = _SQUARE) -> None:
        self._orientations: dict[int, Orientation] = {}
        self._first = shown_size(first, self._orientation(first))
        self._aspect = aspect
        self._scalers: defaultdict[Form, VideoReformatter] = defaultdict(VideoReformatter)
        self.seconds = 0.0

    def form(self, request: FrameRequest) -> Form:
        """The form of a request's pictures."""
        height, width = request.size or self._first
        shorter = min(height, width)
        if request.size is None and request.max_lines is not None and shorter > request.max_lines:
            height, width = (max(1, round(side * request.max_lines / shorter)) for side in (height, width))
        if request.colour == "yuv420":
            height, width = even_size(height, width)
        return Form(height, width, request.resize, request.interpolation, request.colour)

    def write(self, frame: VideoFrame, form: Form, out: Picture) -> None:
        """Scale the frame and write it, turned, into an array of that form's shape."""
        started = time.perf_counter()
        shown = self._orientation(frame)
        scaled = self._scaled(frame, form, shown)
        for number, channel in zip(_PLANES[form.colour], form.channels(out), strict=True):
            plane = _plane(scaled, number)
            if form.colour == "yuv420":
                height, width = channel.shape[::-1] if shown.transposed else channel.shape
                plane = plane[:height, :width]
            _place(shown.apply(plane), channel)
        self.seconds += time.perf_counter() - started

    def _orientation(self, frame: VideoFrame) -> Orientation:
        """The frame's; looked up anew only where the rotation changes.

        A frame whose side data was looked at refers to itself, and keeps its memory until the garbage
        collector comes.
        """
        rotation = frame.rotation
        if rotation not in self._orientations:
            self._orientations[rotation] = orientation(frame)
        return self._orientations[rotation]

    def _scaled(self, frame: VideoFrame, form: Form, shown: Orientation) -> VideoFrame:
        """The whole frame, not yet turned, in the size that it has in pictures of the form."""
        if form.colour == "yuv420":
            size = (form.width, form.height) if shown.transposed else (form.height, form.width)
            return as_yuv420(frame, *size, self._scalers[form], _FLAGS["bicubic"])
        height, width = scaled_size(*shown_size(frame, shown, self._aspect), form)
        if shown.transposed:
            height, width = width, height
        return self._scalers[form].reformat(
            frame,
            width=width,
            height=height,
            format=_FORMATS[form.colour],  # type: ignore[arg-type]  # its stub knows names alone
            interpolation=_FLAGS[form.interpolation],
            src_colorspace=_KEEPS_LUMA if form.colour == "luma" and not frame.format.is_rgb else None,
            dst_color_range=_FULL_RANGE,
            threads=1,
        )


class Source:
    """A decoded frame, from which pictures can be made."""

    def __init__(self, frame: VideoFrame, maker: PictureMaker) -> None:
        self._frame = frame
        self._maker = maker
        self._written: dict[Form, Picture] = {}

    @property
    def bytes(self) -> int:
        """Memory of the decoded frame itself."""
        return sum(plane.buffer_size for plane in self._frame.planes)

    def write(self, form: Form, out: Picture) -> None:
        """Write the frame into an array of that form's shape: scaled, or copied from where it already is."""
        if form in self._written:
            out[:] = self._written[form]
        else:
            self._maker.write(self._frame, form, out)
            self._written[form] = out

    def settle(self) -> None:
        """Forget what has been written where: those arrays belong to others from now on."""
        self._written.clear()


def _plane(frame: VideoFrame, number: int) -> Picture:
    """uint8 [H, W] view of a plane of 8 bits, without its padding."""
    plane = frame.planes[number]
    values: Picture = np.frombuffer(memoryview(plane), np.uint8)
    rows = values.reshape(-1, plane.line_size)  # [H, line size]
    return rows[: plane.height, : plane.width]


def _place(shown: Picture, out: Picture) -> None:
    """Put the plane in the middle of the array; what is too much is cut off, what is missing is black."""
    if shown.shape != out.shape:
        out[:] = 0
    _middle(out, shown.shape)[:] = _middle(shown, out.shape)


def _middle(plane: Picture, shape: tuple[int, ...]) -> Picture:
    """View of the plane's middle of that shape, or as much of it as there is."""
    rows, columns = (max(0, side - kept) // 2 for side, kept in zip(plane.shape, shape, strict=True))
    return plane[rows : rows + shape[0], columns : columns + shape[1]]
