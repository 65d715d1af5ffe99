"""Frames as they are stored: 8 bit planes in limited range."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from small_videos import encode

from extract.video.decode import decode
from extract.video.view import FrameRequest, View
from extract.video.yuv420 import even_size, planes_of

EVERY = View({"frames": FrameRequest(0, "all", colour="yuv420")}, tail="keep")


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    """Every frame, [H * 3/2, W]."""
    return [frame.copy() for _, chunk in decode(path, {"view": EVERY}) for frame in chunk.frames["frames"]]


def stored(path: Path) -> list[list[NDArray[np.generic]]]:
    """The planes of every frame, as the decoder gives them."""
    with av.open(str(path)) as container:
        return [[plane_of(frame, n) for n in range(3)] for frame in container.decode(video=0)]


def plane_of(frame: av.VideoFrame, number: int) -> NDArray[np.generic]:
    plane = frame.planes[number]
    dtype = np.dtype(np.uint16 if "10" in frame.format.name else np.uint8)
    return np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width].copy()


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


def assert_planes(picture: NDArray[np.uint8], planes: list[NDArray[np.generic]]) -> None:
    for ours, theirs in zip(planes_of(picture), planes, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["17734.mp4", "carphone_pristine.mp4", "av1_video.mkv", "h265_video.mp4"])
def test_planes_of_real_videos_are_copied_bit_by_bit(shared_data, name):
    path = shared_data / "videos" / name
    (_, chunk), *_ = decode(path, {"view": View({"first": FrameRequest(3, "first", colour="yuv420")})})
    for picture, planes in zip(chunk.frames["first"], stored(path), strict=False):
        assert_planes(picture, planes)


def test_layout_is_that_of_raw_video(tmp_path):
    path = encode(tmp_path / "v.mp4", frames=2, size=(66, 98))  # a chroma plane ends within a row
    with av.open(str(path)) as container:
        raw = [frame.reformat(width=98, height=66).planes for frame in container.decode(video=0)]
    for picture, planes in zip(pictures(path), raw, strict=True):
        rows = [np.frombuffer(p, np.uint8).reshape(p.height, -1)[:, : p.width].tobytes() for p in planes]
        assert picture.shape == (99, 98)
        assert picture.tobytes() == b"".join(rows)


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_every_plane_is_turned(tmp_path, rotation, turns):
    path = encode(tmp_path / "v.mp4", frames=2, size=(64, 96), rotation=rotation, picture=noise(64, 96))
    expected = [[np.rot90(plane, turns) for plane in planes] for planes in stored(path)]
    for picture, planes in zip(pictures(path), expected, strict=True):
        assert_planes(picture, planes)


@pytest.mark.parametrize("rotation", [None, 90])
def test_an_odd_last_row_and_column_are_left_out(tmp_path, rotation):
    path = tmp_path / "v.mkv"
    encode(path, frames=2, size=(65, 97), codec="ffv1", rotation=rotation, picture=noise(65, 97))
    turns = 1 if rotation else 0
    for picture, (y, u, v) in zip(pictures(path), stored(path), strict=True):
        kept = (y[:64, :96], u[:32, :48], v[:32, :48])
        assert_planes(picture, [np.rot90(plane, turns) for plane in kept])


def test_smallest_pictures_keep_chroma(tmp_path):
    assert even_size(1, 97) == (2, 96)
    path = encode(tmp_path / "v.mkv", frames=1, size=(1, 16), codec="ffv1", picture=noise(1, 16))
    assert pictures(path)[0].shape == (3, 16)


def test_ten_bits_become_eight(tmp_path):
    path = encode(
        tmp_path / "v.mkv", frames=2, codec="ffv1", pixel_format="yuv420p10le", picture=noise(64, 96)
    )
    for picture, planes in zip(pictures(path), stored(path), strict=True):
        for ours, theirs in zip(planes_of(picture), planes, strict=True):
            assert np.abs(ours - theirs / 4).max() <= 1
            assert abs(np.mean(ours - theirs / 4)) < 0.1


def test_chroma_of_other_layouts_is_halved(tmp_path):
    yy, xx = np.mgrid[:64, :96]
    smooth = np.stack([xx * 2, yy * 3, (xx + yy)], axis=-1).astype(np.uint8)
    half = encode(tmp_path / "420.mkv", frames=1, codec="ffv1", picture=smooth)
    for layout in ("yuv422p", "yuv444p"):
        whole = encode(
            tmp_path / f"{layout}.mkv", frames=1, codec="ffv1", picture=smooth, pixel_format=layout
        )
        np.testing.assert_allclose(
            pictures(whole)[0].astype(float), pictures(half)[0].astype(float), rtol=0, atol=2
        )


@pytest.mark.parametrize(("codec", "pixel_format"), [("libx264", "yuvj420p"), ("libvpx-vp9", "yuv420p")])
def test_full_range_becomes_limited(tmp_path, codec, pixel_format):
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = 64, 96, pixel_format
        stream.codec_context.color_range = 2
        frame = av.VideoFrame.from_ndarray(noise(64, 96), format="rgb24").reformat(
            format=pixel_format, dst_color_range="JPEG"
        )
        frame.color_range = 2
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    ((y, u, v),) = stored(path)
    limited = (16 + y * (219 / 255), 128 + (u - 128.0) * (224 / 255), 128 + (v - 128.0) * (224 / 255))
    for ours, theirs in zip(planes_of(pictures(path)[0]), limited, strict=True):
        assert np.abs(ours - theirs).max() <= 1


def test_the_matrix_stays(shared_data):
    """BT.709 in full range: luma changes its range alone."""
    path = shared_data / "videos" / "bt709_full_range.mp4"
    (_, chunk), *_ = decode(path, {"view": View({"first": FrameRequest(1, "first", colour="yuv420")})})
    y, u, _ = planes_of(chunk.frames["first"][0])
    first, *_ = stored(path)
    assert np.abs(y - (16 + first[0] * (219 / 255))).max() <= 1
    assert np.abs(u - (128 + (first[1] - 128.0) * (224 / 255))).max() <= 1


def test_rgb_becomes_bt601(tmp_path):
    flat = np.broadcast_to(np.array([200, 100, 50], np.uint8), (64, 96, 3))
    path = encode(tmp_path / "v.mkv", frames=1, codec="ffv1", picture=flat, pixel_format="bgr0")
    means = [float(plane.mean()) for plane in planes_of(pictures(path)[0])]
    r, g, b = 200 / 255, 100 / 255, 50 / 255
    y, u = 65.481 * r + 128.553 * g + 24.966 * b, -37.797 * r - 74.203 * g + 112 * b
    v = 112 * r - 93.786 * g - 18.214 * b
    assert means == pytest.approx([16 + y, 128 + u, 128 + v], abs=1)


def test_later_frames_of_another_size_come_in_that_of_the_first(tmp_path):
    small, large = (
        encode(tmp_path / "a.h264", frames=2),
        encode(tmp_path / "b.h264", frames=2, size=(128, 192)),
    )
    path = tmp_path / "both.h264"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    shown = pictures(path)
    assert [picture.shape for picture in shown] == [(96, 96)] * 4
    assert abs(float(shown[3][:64].mean()) - float(shown[1][:64].mean())) < 8


def test_another_size_is_refused():
    for further in ({"size": (64, 64)}, {"max_lines": 64}):
        with pytest.raises(ValueError, match="native resolution"):
            FrameRequest(1, "first", colour="yuv420", **further)
