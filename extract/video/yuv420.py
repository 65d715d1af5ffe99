"""Frames as most videos store them: luma and two chroma planes of half its size, 8 bits, limited range."""

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

_YUV420 = VideoFormat("yuv420p")
_LIMITED, _FULL = int(ColorRange.MPEG), int(ColorRange.JPEG)
_FOR_RGB = int(Colorspace.ITU601)


def even_size(height: int, width: int) -> tuple[int, int]:
    """Without a last row or column that has no partner to share its chroma with; at least 2 x 2."""
    return max(2, height - height % 2), max(2, width - width % 2)


def planes_of(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Views of a contiguous picture [H * 3/2, W]: luma [H, W] and, one after the other, chroma [H/2, W/2]."""
    height, width = picture.shape[0] * 2 // 3, picture.shape[1]
    flat, size = picture.reshape(-1), height * width
    half = (height // 2, width // 2)
    u, v = flat[size : size * 5 // 4], flat[size * 5 // 4 :]
    return flat[:size].reshape(height, width), u.reshape(half), v.reshape(half)


def as_yuv420(
    frame: VideoFrame, height: int, width: int, scaler: VideoReformatter, interpolation: int
) -> VideoFrame:
    """The frame in that form, of that size or one that `even_size` brings to it.

    One that has it already is returned as it is, bit by bit. Others are converted, and scaled, as
    `ffmpeg -pix_fmt yuv420p` does: full range becomes limited, and the matrix stays, which is BT.601 where
    RGB has none.
    """
    if even_size(frame.height, frame.width) == (height, width):
        if frame.format.name == _YUV420.name and frame.color_range != _FULL:
            return frame
        height, width = frame.height, frame.width
    return scaler.reformat(
        frame,
        width=width,
        height=height,
        format=_YUV420,  # type: ignore[arg-type]  # its stub knows names alone
        interpolation=interpolation,
        dst_colorspace=_FOR_RGB if frame.format.is_rgb else None,
        dst_color_range=_LIMITED,
        threads=1,
    )
