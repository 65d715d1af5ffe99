"""Decoded frames to arrays: scaled, turned and converted once for each form that is asked for."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from extract.encoders.base import FrameRequest

Picture = NDArray[np.uint8]
_Form = tuple[int, int, str]

# FAST_BILINEAR is only 23 dB from an exact bilinear filter; these flags reach 45 to 48 dB.
_SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


class HeldFrame:
    """One frame of the chunk that is being read, and the pictures made of it so far."""

    def __init__(self, frame: VideoFrame) -> None:
        self.frame: VideoFrame | None = frame
        self.pictures: dict[_Form, Picture] = {}

    @property
    def bytes(self) -> int:
        """Memory of the decoded frame itself."""
        return sum(plane.buffer_size for plane in self.frame.planes) if self.frame else 0


class PictureMaker:
    """Makes the pictures that the requests ask for, with one scaler for each output form.

    `forms`: request name → (height, width, colour). Native sizes are those of the first frame, as it is
    to be shown, so that a video whose resolution changes still gives arrays of one shape.
    """

    def __init__(self, requests: Mapping[str, FrameRequest], first: VideoFrame) -> None:
        self.forms = {name: _form(request, first) for name, request in requests.items()}
        self._scalers = {form: VideoReformatter() for form in self.forms.values()}

    def picture(self, held: HeldFrame, request: str) -> Picture:
        """uint8 [H, W, 3] or [H, W] of the held frame."""
        form = self.forms[request]
        if form not in held.pictures:
            if held.frame is None:
                raise RuntimeError("the frame was dropped before this picture was made")
            held.pictures[form] = self._make(held.frame, form)
        return held.pictures[form]

    def drop_frame(self, held: HeldFrame) -> None:
        """Make every picture of the frame now, and free the frame."""
        for request in self.forms:
            self.picture(held, request)
        held.frame = None

    def _make(self, frame: VideoFrame, form: _Form) -> Picture:
        height, width, colour = form
        turns = quarter_turns(frame)
        if turns % 2:
            height, width = width, height
        scaled = self._scalers[form].reformat(
            frame,
            width=width,
            height=height,
            format="gray" if colour == "luma" else "rgb24",
            interpolation=_SCALING,
            src_colorspace=_luma_matrix(frame) if colour == "luma" else None,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        array: NDArray[Any] = scaled.to_ndarray()
        return np.rot90(array, turns) if turns else array


def quarter_turns(frame: VideoFrame) -> int:
    """Counter-clockwise quarter turns (0 to 3) by which the file says the frame is to be shown turned."""
    return round(frame.rotation / 90) % 4


def _luma_matrix(frame: VideoFrame) -> Colorspace | None:
    """The matrix that makes swscale take the luma plane as it is.

    It believes all grey to be BT.601, and would turn BT.709 luma into that through RGB: up to 35 levels off.
    """
    return None if frame.format.is_rgb else Colorspace.ITU601


def _form(request: FrameRequest, first: VideoFrame) -> _Form:
    if request.size is not None:
        return (*request.size, request.colour)
    height, width = first.height, first.width
    if quarter_turns(first) % 2:
        height, width = width, height
    shorter = min(height, width)
    if request.max_lines is not None and shorter > request.max_lines:
        height, width = (max(1, round(side * request.max_lines / shorter)) for side in (height, width))
    return (height, width, request.colour)
