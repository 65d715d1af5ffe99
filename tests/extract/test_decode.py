from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from bad_videos import broken
from PIL import Image
from small_videos import encode, frame_picture

from extract import errors
from extract.video.decode import decode
from extract.video.view import FrameRequest, View

KEY = {"key": FrameRequest(1, "first", (32, 32))}
LUMA = {"luma": FrameRequest(30, "first", colour="luma")}
ALL = {
    "key": FrameRequest(1, "first", (224, 224)),
    "clip": FrameRequest(32, "uniform", (224, 224)),
    "luma": FrameRequest(3, "uniform", max_lines=540, colour="luma"),
}


def read(path: Path, requests=KEY, **view):
    decoding = decode(path, {"view": View(requests, **view)})
    return [chunk for _, chunk in decoding], decoding.info


def brightness(chunk, request="luma"):
    return chunk.frames[request].reshape(len(chunk.frames[request]), -1).mean(1)


@pytest.mark.parametrize(
    ("name", "chunks", "frames"),
    [
        ("12255205254.mp4", 8, 200),
        ("6293871635.mp4", 8, 240),
        ("17734.mp4", 7, 234),
        ("av1_video.mkv", 5, 125),
        ("h265_video.mp4", 1, 10),
        ("h264_10bits.mp4", 1, 30),
        ("nasa_13013.mp4", 13, 390),
    ],
)
def test_real_videos_give_a_chunk_a_second_in_one_pass(shared_data, name, chunks, frames):
    decoded, info = read(shared_data / "videos" / name, ALL)
    assert [chunk.index for chunk in decoded] == list(range(chunks))
    assert (info.frames, info.chunks, info.warnings) == (frames, chunks, ())
    for chunk in decoded:
        assert chunk.frames["key"].shape == (1, 3, 224, 224)
        assert chunk.frames["clip"].shape == (32, 3, 224, 224)
        assert min(chunk.frames["luma"].shape[1:]) == min(540, info.height, info.width)
        assert np.array_equal(chunk.frames["key"][0], chunk.frames["clip"][0])


def test_chunks_hold_the_frames_of_their_own_second(tmp_path):
    chunks, _ = read(encode(tmp_path / "v.mp4", frames=60, rate=20), LUMA)
    levels = np.concatenate([brightness(chunk)[:20] for chunk in chunks])
    assert len(chunks) == 3
    assert np.all(np.diff(levels) > 0)
    assert np.array_equal(chunks[0].frames["luma"][19], chunks[0].frames["luma"][29])


def test_variable_frame_rate_goes_by_timestamps(tmp_path):
    times = [Fraction(i, 10) for i in range(10)] + [1 + Fraction(i, 40) for i in range(40)]
    chunks, info = read(encode(tmp_path / "v.mkv", frames=50, times=times), LUMA)
    assert len(chunks) == 2
    assert len(set(brightness(chunks[0]))) == 10
    assert len(set(brightness(chunks[1]))) == 30
    assert info.duration_seconds == pytest.approx(2.0, abs=0.05)


def test_a_second_without_frames_shows_the_last_frame_before_it(tmp_path):
    times = [Fraction(0), Fraction(1, 2), Fraction(3), Fraction(7, 2)]
    chunks, _ = read(encode(tmp_path / "v.mkv", frames=4, times=times), LUMA)
    assert len(chunks) >= 3
    assert np.array_equal(chunks[1].frames["luma"][0], chunks[0].frames["luma"][-1])


@pytest.mark.parametrize("name", ["p.png", "p.jpg", "png-named.mp4"])
def test_a_still_image_is_a_video_of_one_frame(tmp_path, name):
    kind = "JPEG" if name.endswith("jpg") else "PNG"
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(tmp_path / name, format=kind)
    chunks, info = read(tmp_path / name, ALL)
    assert (len(chunks), info.frames) == (1, 1)
    assert np.abs(chunks[0].frames["clip"].astype(int) - 90).max() <= 1


def test_frames_without_timestamps_go_by_the_frame_rate_with_a_warning(tmp_path):
    path = encode(tmp_path / "v.h264", container_format="h264")
    chunks, info = read(path)
    assert len(chunks) == 2
    assert "60 frames without a timestamp" in info.warnings[0]


def test_a_change_of_resolution_is_stretched_with_a_warning(tmp_path):
    for name, size in (("a", (64, 96)), ("b", (128, 160))):
        encode(tmp_path / f"{name}.h264", frames=30, size=size, container_format="h264")
    joined = tmp_path / "v.h264"
    joined.write_bytes((tmp_path / "a.h264").read_bytes() + (tmp_path / "b.h264").read_bytes())
    chunks, info = read(joined, {"key": KEY["key"], "native": FrameRequest(1, "first")})
    assert [chunk.frames["native"].shape for chunk in chunks] == [(1, 3, 64, 96)] * 2
    assert "the resolution changes: 96x64, 160x128" in info.warnings


def test_few_damaged_frames_are_a_warning(shared_data, tmp_path):
    damaged = bytearray((shared_data / "videos" / "bikes.mp4").read_bytes())
    for position in np.random.default_rng(1).integers(60_000, len(damaged) - 60_000, 2):
        damaged[position] ^= 0xFF
    (tmp_path / "v.mp4").write_bytes(damaged)
    chunks, info = read(tmp_path / "v.mp4")
    assert len(chunks) == 10
    assert any("damaged" in warning for warning in info.warnings)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("absent", errors.MissingFile),
        ("folder", errors.NotAFile),
        ("fifo", errors.NotAFile),
        ("empty", errors.EmptyFile),
        ("text", errors.NotAVideo),
        ("random", errors.NotAVideo),
        ("playlist", errors.NotAVideo),
        ("no-moov", errors.MissingIndex),
        ("sound", errors.NoVideoStream),
        ("half", errors.TruncatedVideo),
        ("half-mkv", errors.TruncatedVideo),
        ("timescale", errors.ImplausibleTiming),
        ("bit-rot", errors.CorruptVideo),
        ("no-first-key-frame", (errors.TruncatedVideo, errors.CorruptVideo)),
    ],
)
def test_a_bad_file_ends_in_a_typed_error_that_names_it(tmp_path, fault, error):
    path = broken(tmp_path, fault)
    with pytest.raises(error) as raised:
        read(path)
    assert str(path) in str(raised.value)
    assert raised.value.kind != errors.UnreadableVideo.kind


def test_facts_are_refused_before_the_end(tmp_path):
    decoding = decode(encode(tmp_path / "v.mp4"), {"view": View(KEY)})
    next(decoding)
    with pytest.raises(RuntimeError, match="read all chunks"):
        _ = decoding.info
    decoding.close()


def test_frame_pictures_differ_by_their_index():
    assert frame_picture(3, (8, 8)).mean() - frame_picture(2, (8, 8)).mean() == 3
