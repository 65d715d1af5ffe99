from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageOps
from small_videos import encode
from transformers import CLIPImageProcessor

from extract.video.decode import decode
from extract.video.pictures import Form, scaled_size
from extract.video.view import FrameRequest, View

CAMERA_FOOTAGE = (
    "17734.mp4",
    "12255205254.mp4",
    "6293871635.mp4",
    "8069880437.mp4",
    "8440795977.mp4",
    "HyZMiWeJyMw_000072_000082.mp4",
    "eWgy8eG3stA_000164_000174.mp4",
    "v_ZNVhz7ctTq0.mp4",
    "bikes.mp4",
    "carphone_pristine.mp4",
    "nasa_13013.mp4",
    "bt709_full_range.mp4",
)
NATIVE = FrameRequest(1, "first")


def first_pictures(path: Path, **requests: FrameRequest):
    """Request → its first picture, [H, W, 3] or [H, W]."""
    decoding = decode(path, {"view": View(requests)})
    _, chunk = next(decoding)
    decoding.close()
    pictures = {name: frames[0] for name, frames in chunk.frames.items()}
    return {name: p.transpose(1, 2, 0) if p.ndim == 3 else p for name, p in pictures.items()}


def decibels(picture, reference) -> float:
    return float(
        10 * np.log10(255**2 / np.mean((np.asarray(picture, float) - np.asarray(reference, float)) ** 2))
    )


@pytest.mark.parametrize("name", CAMERA_FOOTAGE)
def test_real_footage_is_scaled_as_by_an_exact_antialiased_filter(shared_data, name):
    size = (224, 224)
    shown = first_pictures(
        shared_data / "videos" / name,
        native=NATIVE,
        bilinear=FrameRequest(1, "first", size),
        bicubic=FrameRequest(1, "first", size, interpolation="bicubic"),
    )
    native = Image.fromarray(shown["native"])
    for filtered, exact in (
        ("bilinear", Image.Resampling.BILINEAR),
        ("bicubic", Image.Resampling.BICUBIC),
    ):
        assert decibels(shown[filtered], native.resize(size, exact)) > 45, filtered


def test_crop_is_what_clip_s_own_processor_shows(shared_data):
    request = FrameRequest(1, "first", (224, 224), resize="crop", interpolation="bicubic")
    shown = first_pictures(shared_data / "videos" / "17734.mp4", native=NATIVE, cropped=request)
    processor = CLIPImageProcessor(do_rescale=False, do_normalize=False)
    exact = processor(Image.fromarray(shown["native"]), return_tensors="np")["pixel_values"][0]
    assert decibels(shown["cropped"], exact.transpose(1, 2, 0)) > 45


def test_pad_shows_the_whole_frame_between_black_borders(shared_data):
    request = FrameRequest(1, "first", (224, 224), resize="pad")
    shown = first_pictures(shared_data / "videos" / "17734.mp4", native=NATIVE, padded=request)
    exact = ImageOps.pad(Image.fromarray(shown["native"]), (224, 224), Image.Resampling.BILINEAR)
    assert decibels(shown["padded"], exact) > 45
    assert shown["padded"][:49].max() == shown["padded"][-49:].max() == 0


@pytest.mark.parametrize(
    ("frame", "crop", "pad"),
    [
        ((720, 1280), (224, 398), (126, 224)),
        ((1280, 720), (398, 224), (224, 126)),
        ((100, 100), (224, 224), (224, 224)),
        ((10, 4000), (224, 89600), (1, 224)),
    ],
)
def test_crop_fills_the_picture_and_pad_stays_within_it(frame, crop, pad):
    assert scaled_size(*frame, Form(224, 224, "crop", "bilinear", "rgb")) == crop
    assert scaled_size(*frame, Form(224, 224, "pad", "bilinear", "rgb")) == pad
    assert scaled_size(*frame, Form(224, 224, "stretch", "bilinear", "rgb")) == (224, 224)


@pytest.mark.parametrize(
    ("name", "depth", "full_range"),
    [
        ("bt709_full_range.mp4", 8, True),
        ("17734.mp4", 8, False),
        ("av1_video.mkv", 8, False),
        ("h264_10bits.mp4", 10, False),
    ],
)
def test_luma_is_the_luma_plane_in_full_range(shared_data, name, depth, full_range):
    path = shared_data / "videos" / name
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    plane = frame.planes[0]
    stored = np.frombuffer(plane, np.uint16 if depth == 10 else np.uint8)
    luma = stored.reshape(plane.height, -1)[:, : plane.width] / 2 ** (depth - 8)
    expected = luma if full_range else np.clip((luma - 16) * 255 / 219, 0, 255)
    shown = first_pictures(path, luma=FrameRequest(1, "first", colour="luma"))["luma"]
    assert np.abs(shown - expected).max() <= 1


def test_full_range_colour_uses_its_own_matrix(shared_data):
    path = shared_data / "videos" / "bt709_full_range.mp4"
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    y, u, v = (
        np.frombuffer(p, np.uint8).reshape(p.height, -1)[:, : p.width].astype(float) for p in frame.planes
    )
    u, v = (np.kron(plane, np.ones((2, 2))) - 128 for plane in (u, v))
    red, blue = y + 1.5748 * v, y + 1.8556 * u  # BT.709
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    rgb = np.clip(np.stack([red, green, blue], -1), 0, 255)
    assert np.abs(first_pictures(path, native=NATIVE)["native"] - rgb).mean() < 2


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (-90, 3), (180, 2)])
def test_rotation_is_applied(tmp_path, degrees, turns):
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:16, :16] = 255
    path = encode(tmp_path / "v.mp4", frames=5, picture=picture, rotation=degrees)
    decoding = decode(path, {"view": View({"native": NATIVE})})
    shown = next(decoding)[1].frames["native"][0].transpose(1, 2, 0)
    list(decoding)
    assert shown.shape == np.rot90(picture, turns).shape == (decoding.info.height, decoding.info.width, 3)
    assert np.abs(shown.astype(int) - np.rot90(picture, turns)).mean() < 10


def test_a_turned_video_is_cropped_and_padded_as_it_is_shown(tmp_path):
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:, :48] = 255
    path = encode(tmp_path / "v.mp4", frames=5, picture=picture, rotation=90)
    shown = first_pictures(
        path,
        crop=FrameRequest(1, "first", (32, 32), resize="crop"),
        pad=FrameRequest(1, "first", (48, 48), resize="pad"),
    )
    assert shown["crop"][-8:].min() > 200 and shown["crop"][:8].max() < 50
    assert (
        shown["pad"][-8:, 8:40].min() > 200 and shown["pad"][:, :8].max() == shown["pad"][:, 40:].max() == 0
    )


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("down", [1, -1])
@pytest.mark.parametrize("right", [1, -1])
def test_a_display_matrix_turns_and_mirrors(tmp_path, transposed, down, right):
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:16, :16] = (255, 255, 255)
    picture[-16:, :16] = (255, 0, 0)
    one = 1 << 16
    matrix = (
        [0, down * one, 0, right * one, 0, 0, 0, 0, 1 << 30]
        if transposed
        else [right * one, 0, 0, 0, down * one, 0, 0, 0, 1 << 30]
    )
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width = 64, 96
        stream.set_display_matrix(matrix)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    expected = (picture.transpose(1, 0, 2) if transposed else picture)[::down, ::right]
    shown = first_pictures(tmp_path / "v.mp4", native=NATIVE)["native"]
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 10


def anamorphic(path: Path, aspect: Fraction, rotation: int = 0) -> Path:
    """A frame of 64 lines of 96 pixels, white on the left half, which are `aspect` times as wide as high."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:, :48] = 255
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width = 64, 96
        stream.sample_aspect_ratio = aspect
        stream.set_display_rotation(rotation)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("rotation", "size"), [(0, (64, 192)), (90, (192, 64))])
def test_frames_are_cropped_and_padded_as_wide_as_they_are_shown(tmp_path, rotation, size):
    path = anamorphic(tmp_path / "v.mp4", Fraction(2), rotation)
    shown = first_pictures(
        path,
        pad=FrameRequest(1, "first", (96, 96), resize="pad", colour="luma"),
        crop=FrameRequest(1, "first", (64, 64), resize="crop", colour="luma"),
        stretch=FrameRequest(1, "first", (64, 96), colour="luma"),
        native=FrameRequest(1, "first", colour="luma"),
    )
    pad = np.rot90(shown["pad"], -1) if rotation else shown["pad"]
    assert pad[:32].max() == pad[-32:].max() == 0  # 96 x 32 between the borders
    assert pad[33:63, :46].min() > 250
    crop = np.rot90(shown["crop"], -1) if rotation else shown["crop"]
    assert crop[:, :28].min() > 250 and crop[:, 36:].max() < 5
    assert shown["native"].shape == ((96, 64) if rotation else (64, 96))
    decoding = decode(path, {"view": View({"native": NATIVE})})
    list(decoding)
    assert (decoding.info.height, decoding.info.width) == size


def test_a_pixel_that_could_not_be_is_taken_for_a_square_one(tmp_path):
    decoding = decode(anamorphic(tmp_path / "v.mp4", Fraction(1, 200)), {"view": View({"native": NATIVE})})
    list(decoding)
    assert (decoding.info.height, decoding.info.width) == (64, 96)


def test_a_phone_held_upright_is_turned_clockwise(tmp_path):
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:16, :16] = 255
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width = 64, 96
        stream.set_display_matrix([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30])  # as such phones write
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    shown = first_pictures(tmp_path / "v.mp4", native=NATIVE)["native"]
    assert shown.shape == (96, 64, 3)
    assert shown[:12, -12:].min() > 200
