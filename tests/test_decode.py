import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from small_videos import cut_in_half, encode, frame_picture

from extract import errors
from extract.decode import decode
from extract.encoders.base import FrameRequest

KEY = {"key": FrameRequest(1, "first", (32, 32))}
LUMA = {"luma": FrameRequest(30, "first", colour="luma")}
ALL = {
    "key": FrameRequest(1, "first", (224, 224)),
    "clip": FrameRequest(32, "uniform", (224, 224)),
    "luma": FrameRequest(3, "uniform", max_lines=540, colour="luma"),
}


def read(path: Path, requests=KEY):
    decoding = decode(path, requests)
    return list(decoding), decoding.info


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
        assert chunk.frames["key"].shape == (1, 224, 224, 3)
        assert chunk.frames["clip"].shape == (32, 224, 224, 3)
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


def test_a_huge_second_is_scaled_at_once_to_the_same_pictures(tmp_path, monkeypatch):
    path = encode(tmp_path / "v.mp4")
    held, _ = read(path, ALL)
    monkeypatch.setattr("extract.decode._HELD_BYTES", 1)
    dropped, _ = read(path, ALL)
    for one, other in zip(held, dropped, strict=True):
        assert all(np.array_equal(one.frames[name], other.frames[name]) for name in ALL)


def test_scaling_is_close_to_exact_bilinear(shared_data):
    requests = {"native": FrameRequest(1, "first"), "small": FrameRequest(1, "first", (224, 224))}
    for name in ("17734.mp4", "12255205254.mp4"):
        chunk = read(shared_data / "videos" / name, requests)[0][0]
        exact = Image.fromarray(chunk.frames["native"][0]).resize((224, 224), Image.Resampling.BILINEAR)
        error = np.mean((np.asarray(exact, float) - chunk.frames["small"][0]) ** 2)
        assert 10 * np.log10(255**2 / error) > 45


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
    chunk = read(path, {"luma": FrameRequest(1, "first", colour="luma")})[0][0]
    assert np.abs(chunk.frames["luma"][0] - expected).max() <= 1


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
    chunk = read(path, {"native": FrameRequest(1, "first")})[0][0]
    assert np.abs(chunk.frames["native"][0] - rgb).mean() < 2


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (-90, 3), (180, 2)])
def test_rotation_is_applied(tmp_path, degrees, turns):
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:16, :16] = 255
    path = encode(tmp_path / "v.mp4", frames=5, picture=picture, rotation=degrees)
    chunks, info = read(path, {"native": FrameRequest(1, "first")})
    shown = chunks[0].frames["native"][0]
    assert shown.shape == np.rot90(picture, turns).shape == (info.height, info.width, 3)
    assert np.abs(shown.astype(int) - np.rot90(picture, turns)).mean() < 10


def test_a_phone_held_upright_is_turned_clockwise(tmp_path):
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:16, :16] = 255
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width = 64, 96
        stream.set_display_matrix([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30])  # as such phones write
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    shown = read(tmp_path / "v.mp4", {"native": FrameRequest(1, "first")})[0][0].frames["native"][0]
    assert shown.shape == (96, 64, 3)
    assert shown[:12, -12:].min() > 200


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
    assert [chunk.frames["native"].shape for chunk in chunks] == [(1, 64, 96, 3)] * 2
    assert "the resolution changes: 96x64, 160x128" in info.warnings


def test_few_damaged_frames_are_a_warning(shared_data, tmp_path):
    damaged = bytearray((shared_data / "videos" / "bikes.mp4").read_bytes())
    for position in np.random.default_rng(1).integers(60_000, len(damaged) - 60_000, 2):
        damaged[position] ^= 0xFF
    (tmp_path / "v.mp4").write_bytes(damaged)
    chunks, info = read(tmp_path / "v.mp4")
    assert len(chunks) == 10
    assert any("damaged" in warning for warning in info.warnings)


def broken(folder: Path, fault: str) -> Path:
    path = folder / f"{fault}.mp4"
    whole = encode(folder / "whole.mp4", options={"movflags": "+faststart"})
    data = bytearray(whole.read_bytes())
    if fault == "folder":
        path.mkdir()
    elif fault == "fifo":
        os.mkfifo(path)
    elif fault == "text":
        path.write_text("not a video\n" * 40)
    elif fault == "random":
        path.write_bytes(np.random.default_rng(0).bytes(20_000))
    elif fault == "playlist":
        path.write_text(f"#EXTM3U\n#EXTINF:3,\n{whole}\n#EXT-X-ENDLIST\n")
    elif fault == "empty":
        path.touch()
    elif fault == "no-moov":
        cut_in_half(encode(folder / "slow-start.mp4"), path)
    elif fault == "half":
        cut_in_half(whole, path)
    elif fault == "half-mkv":
        return cut_in_half(encode(folder / "whole.mkv"), folder / "half.mkv")
    elif fault == "timescale":
        at = data.find(b"mdhd") + 16
        path.write_bytes(data[:at] + struct.pack(">I", 200_000_000) + data[at + 4 :])
    elif fault == "bit-rot":
        start = data.find(b"mdat") + 900
        data[start::97] = bytes(len(data[start::97]))
        path.write_bytes(data)
    elif fault == "no-first-key-frame":
        return without_first_group(whole, path)
    elif fault == "sound":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=44_100)
            for index in range(10):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                frame.rate, frame.pts = 44_100, index * 1024
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def without_first_group(whole: Path, path: Path) -> Path:
    """Overwrite the first key frame, so that nothing decodes before the second."""
    with av.open(str(whole)) as container:
        first = next(packet for packet in container.demux(video=0) if packet.size)
        at, size = first.pos, first.size
    data = bytearray(whole.read_bytes())
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
    return path


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
    decoding = decode(encode(tmp_path / "v.mp4"), KEY)
    next(decoding)
    with pytest.raises(RuntimeError, match="read all chunks"):
        _ = decoding.info
    decoding.close()


def test_frame_pictures_differ_by_their_index():
    assert frame_picture(3, (8, 8)).mean() - frame_picture(2, (8, 8)).mean() == 3
