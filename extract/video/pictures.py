"""Decoded frames to pictures: scaled, turned and converted once for each form that is asked for."""

import time
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from extract.video.orientation import Orientation, orientation, shown_size
from extract.video.view import FrameRequest, Resize

Picture = NDArray[np.uint8]
"""uint8 [3, H, W] (rgb) or [H, W] (luma)."""

# Chroma at full resolution brings swscale from 38–44 dB to 48–57 dB of an exact filter; FAST_BILINEAR is only
# 23 dB from it. Planar RGB takes half the time of packed RGB. The other two flags cost nothing, and give the
# same bits on every CPU.
_FLAGS = Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_FILTERS = {"bilinear": Interpolation.BILINEAR, "bicubic": Interpolation.BICUBIC}
_FULL_RANGE = int(ColorRange.JPEG)
_RGB_PLANES = (2, 0, 1)  # of "gbrp"


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
        return (self.height, self.width) if self.colour == "luma" else (3, self.height, self.width)


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

    def __init__(self, first: VideoFrame, aspect: Fraction = Fraction(1)) -> None:
        self._first = shown_size(first)
        self._aspect = aspect
        self._scalers: dict[Form, _Scaler] = {}
        self.seconds = 0.0

    def form(self, request: FrameRequest) -> Form:
        """The form of a request's pictures."""
        height, width = request.size or self._first
        shorter = min(height, width)
        if request.size is None and request.max_lines is not None and shorter > request.max_lines:
            height, width = (max(1, round(side * request.max_lines / shorter)) for side in (height, width))
        return Form(height, width, request.resize, request.interpolation, request.colour)

    def write(self, frame: VideoFrame, form: Form, out: Picture) -> None:
        """Write the frame into an array of that form's shape."""
        started = time.perf_counter()
        if form not in self._scalers:
            self._scalers[form] = _Scaler(form, self._aspect)
        self._scalers[form].write(frame, out)
        self.seconds += time.perf_counter() - started


class _Scaler:
    """Brings frames to one form."""

    def __init__(self, form: Form, aspect: Fraction) -> None:
        self._form = form
        self._aspect = aspect
        self._reformatter = VideoReformatter()
        self._luma = form.colour == "luma"
        self._format = VideoFormat("gray" if self._luma else "gbrp")
        self._planes = (0,) if self._luma else _RGB_PLANES
        # Plain numbers: the enumerations' own arithmetic is slow.
        self._flags = int(_FILTERS[form.interpolation] | _FLAGS)

    def write(self, frame: VideoFrame, out: Picture) -> None:
        """Scale the frame and write it, turned, into an array of the form's shape."""
        shown = orientation(frame)
        scaled = self._scaled(frame, shown)
        channels = (out,) if self._luma else out
        for number, channel in zip(self._planes, channels, strict=True):
            _place(shown.apply(_plane(scaled, number)), channel)

    def _scaled(self, frame: VideoFrame, shown: Orientation) -> VideoFrame:
        """The whole frame, not yet turned, in the size that it has in pictures of the form."""
        height, width = scaled_size(*shown_size(frame, self._aspect), self._form)
        if shown.transposed:
            height, width = width, height
        return self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=self._format,  # type: ignore[arg-type]  # its stub knows names alone
            interpolation=self._flags,
            src_colorspace=_luma_matrix(frame) if self._luma else None,
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


def _luma_matrix(frame: VideoFrame) -> int | None:
    """The matrix that makes swscale take the luma plane as it is.

    It believes all grey to be BT.601, and would turn BT.709 luma into that through RGB: up to 35 levels off.
    """
    return None if frame.format.is_rgb else int(Colorspace.ITU601)


def _plane(frame: VideoFrame, number: int) -> Picture:
    """uint8 [H, W] view of a plane of 8 bits, without its padding."""
    plane = frame.planes[number]
    values: Picture = np.frombuffer(memoryview(plane), np.uint8)
    rows = values.reshape(-1, plane.line_size)  # [H, line size]
    return rows[: plane.height, : plane.width]


def _place(shown: Picture, out: Picture) -> None:
    """Put the plane in the middle of the array; what is too much is cut off, what is missing is black."""
    if shown.shape == out.shape:
        out[:] = shown
        return
    out[:] = 0
    rows, columns = (_centred(there, here) for there, here in zip(out.shape, shown.shape, strict=True))
    out[rows[0], columns[0]] = shown[rows[1], columns[1]]


def _centred(there: int, here: int) -> tuple[slice, slice]:
    """Slices of the two lengths that cover each other where their middles meet."""
    common = min(there, here)
    starts = (there - common) // 2, (here - common) // 2
    return slice(starts[0], starts[0] + common), slice(starts[1], starts[1] + common)
