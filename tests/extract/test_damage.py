"""Single faults of containers: accepted as shown, accepted with a warning, or refused with the reason."""

import struct
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from damaged_containers import count_finer, cut, declare_length, hide, numbered, record, seen_numbers
from PIL import Image

from extract.errors import ImplausibleTiming, NotAVideo, TruncatedVideo, UnreadableVideo
from extract.video.decode import decode
from extract.video.view import FrameRequest, View

COUNT = 3
TEN_A_SECOND = numbered([Fraction(n, 10) for n in range(60)], Fraction(1, 10))
IN_DOUBT = "nothing tells whether the file is whole"


def read(path, **options):
    view = View({"luma": FrameRequest(COUNT, "uniform", colour="luma")})
    decoding = decode(path, {"view": view}, **options)
    return [seen_numbers(chunk.frames["luma"]) for _, chunk in decoding], decoding.info


def test_frames_that_an_edit_list_hides_are_not_missed(tmp_path):
    chunks, info = read(hide(record(tmp_path / "v.mp4", TEN_A_SECOND), TEN_A_SECOND, 25, 5))
    assert chunks == TEN_A_SECOND.part(25, 55).chunks(COUNT)
    assert (info.frames, info.warnings) == (30, ())


def test_the_null_frames_of_an_avi_are_not_missed(tmp_path):
    """Two of five slots are empty: the frame before them stays."""
    times = [Fraction(n, 30) for n in range(90) if n % 5 not in (2, 3)]
    shown = replace(numbered(times, Fraction(1, 30)), numbers=tuple(range(len(times))))
    path = record(tmp_path / "v.avi", shown)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 90
    chunks, info = read(path)
    assert chunks == shown.chunks(COUNT)
    assert (info.frames, info.warnings) == (54, ())


def test_reordered_frames_of_an_avi_keep_their_order_and_times(tmp_path):
    """AVI knows the times of packets alone: each frame comes with another one's."""
    frames = 90
    with av.open(str(tmp_path / "v.avi"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"bf": "2", "g": "90"})
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        packets = []
        for n in range(frames):
            noise = np.random.default_rng(n).integers(0, 255, (64, 96, 3), dtype=np.uint8)
            packets += stream.encode(av.VideoFrame.from_ndarray(noise))
        for packet in packets + stream.encode(None):
            container.mux(packet)
    view = View({"all": FrameRequest(0, "all", (16, 16))}, tail="keep")
    decoding = decode(tmp_path / "v.avi", {"view": view})
    assert sum(len(chunk.frames["all"]) for _, chunk in decoding) == frames
    assert decoding.info.duration_seconds == pytest.approx(3, abs=0.15)


def test_a_segment_of_a_longer_recording_counts_from_its_own_start(tmp_path):
    chunks, info = read(record(tmp_path / "v.mkv", TEN_A_SECOND, offset=Fraction(100)))
    assert chunks == TEN_A_SECOND.chunks(COUNT)
    assert info.warnings == ()


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_an_absurd_duration_of_the_last_frame_is_not_believed(tmp_path, suffix):
    chunks, info = read(record(tmp_path / f"v.{suffix}", TEN_A_SECOND, claimed_last=Fraction(19_531)))
    assert chunks == TEN_A_SECOND.chunks(COUNT)
    assert info.duration_seconds == pytest.approx(6)
    assert info.warnings == (
        "the last frame is declared to last 19531.00 s: taken to last as long as the others",
    )


@pytest.mark.parametrize(("claimed", "chunks"), [(10, 10), (20_000, 1)])
def test_a_single_frame_lasts_as_it_says_within_reason(tmp_path, claimed, chunks):
    shown = numbered([Fraction(0)], Fraction(1, 10))
    found, info = read(record(tmp_path / "v.mp4", shown, claimed_last=Fraction(claimed)))
    assert found == [[0] * COUNT] * chunks
    assert bool(info.warnings) == (claimed == 20_000)


def test_a_last_frame_may_last_as_long_as_another_did(tmp_path):
    times = [Fraction(0), Fraction(1), Fraction(9), Fraction(10)]
    chunks, info = read(record(tmp_path / "v.mkv", numbered(times, Fraction(1)), claimed_last=Fraction(8)))
    assert len(chunks) == 18
    assert info.warnings == ()


def test_a_matroska_file_that_has_all_its_bytes_is_whole_whatever_length_it_declares(tmp_path):
    path = record(tmp_path / "v.mkv", TEN_A_SECOND)
    data = path.read_bytes()
    assert data.count(b"00:00:06.000000000") == 1
    path.write_bytes(data.replace(b"00:00:06.000000000", b"99:00:06.000000000"))
    chunks, info = read(path)
    assert chunks == TEN_A_SECOND.chunks(COUNT)
    assert info.warnings == ("356400.00 s less than declared",)


def test_zeros_at_the_end_are_not_a_whole_file(tmp_path):
    """As an interrupted download leaves them, in a file of full size."""
    path = record(tmp_path / "v.mkv", TEN_A_SECOND)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    with pytest.raises(TruncatedVideo):
        read(path)


def test_an_mp4_with_all_its_samples_is_whole_whatever_length_it_declares(tmp_path):
    chunks, info = read(declare_length(record(tmp_path / "v.mp4", TEN_A_SECOND), 1000))
    assert chunks == TEN_A_SECOND.chunks(COUNT)
    assert info.warnings == ()


@pytest.mark.parametrize("offset", [0, 5000], ids=["back", "ahead"])
def test_where_the_time_begins_anew_another_recording_follows(tmp_path, offset):
    files = record(tmp_path / "a.ts", TEN_A_SECOND), record(tmp_path / "b.ts", TEN_A_SECOND, Fraction(offset))
    (tmp_path / "v.ts").write_bytes(b"".join(file.read_bytes() for file in files))
    chunks, info = read(tmp_path / "v.ts")
    assert chunks == TEN_A_SECOND.followed_by(TEN_A_SECOND, Fraction(1, 10)).chunks(COUNT)
    assert info.warnings == ("the time starts over 1 times: joined without a gap",)


def test_a_still_screen_is_accepted_up_to_the_gap_that_is_allowed(tmp_path):
    shown = numbered([Fraction(n, 10) + (39 if n > 29 else 0) for n in range(60)], Fraction(1, 10))
    path = record(tmp_path / "v.mp4", shown)
    chunks, info = read(path)
    assert chunks == shown.chunks(COUNT)
    assert (len(chunks), info.warnings) == (45, ())
    with pytest.raises(ImplausibleTiming, match=r"no frame between 2.9 s and 42.0 s, more than the 30 s"):
        read(path, largest_gap_seconds=30.0)


def test_a_frame_every_five_seconds_gives_a_chunk_each_second(tmp_path):
    shown = numbered([Fraction(5 * n) for n in range(4)], Fraction(5))
    chunks, info = read(record(tmp_path / "v.mp4", shown))
    assert chunks == [[n // 5] * COUNT for n in range(20)]
    assert (info.chunks, info.warnings) == (20, ())


def test_a_broken_timescale_is_refused_before_it_fills_the_memory(tmp_path):
    """Kept till the end, these frames took gigabytes."""
    shown = numbered([Fraction(n, 25) for n in range(3000)], Fraction(1, 25))
    path = count_finer(record(tmp_path / "v.mp4", shown), 10_000)
    with pytest.raises(ImplausibleTiming, match="1001 frames in"):
        read(path)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "flv", "wmv", "y4m"])
def test_what_was_cut_off_at_three_fifths_is_refused(tmp_path, suffix):
    options = {"movflags": "+faststart"} if suffix == "mp4" else {}
    with pytest.raises(TruncatedVideo):
        read(cut(record(tmp_path / f"v.{suffix}", TEN_A_SECOND, options=options), 0.601))


@pytest.mark.parametrize(
    ("suffix", "options", "why"),
    [("mkv", {"live": "1"}, "it declares no length"), ("ts", {}, "it ends within a packet")],
)
def test_where_nothing_is_declared_a_cut_is_doubted(tmp_path, suffix, options, why):
    path = cut(record(tmp_path / f"v.{suffix}", TEN_A_SECOND, options=options), 0.601)
    chunks, info = read(path)
    assert chunks[:-1] == TEN_A_SECOND.chunks(COUNT)[: len(chunks) - 1]
    assert info.warnings[-1] == f"{IN_DOUBT}: {why}"


@pytest.mark.parametrize("duration", [0, 100])
def test_an_animated_webp_is_refused_by_its_name(tmp_path, duration):
    pictures = [Image.fromarray(np.full((32, 32, 3), 9 * n, np.uint8)) for n in range(4)]
    pictures[0].save(tmp_path / "v.webp", save_all=True, append_images=pictures[1:], duration=duration)
    with pytest.raises(NotAVideo, match="an animated WebP"):
        read(tmp_path / "v.webp")


def test_a_transparent_picture_is_a_warning_and_an_opaque_one_is_not(tmp_path):
    picture = np.full((32, 32, 4), 255, np.uint8)
    Image.fromarray(picture).save(tmp_path / "opaque.png")
    picture[3, 4, 3] = 254
    Image.fromarray(picture).save(tmp_path / "transparent.png")
    assert read(tmp_path / "opaque.png")[1].warnings == ()
    assert read(tmp_path / "transparent.png")[1].warnings == (
        "partly transparent: shown as if it were opaque",
    )


def test_hdr_and_interlacing_are_warnings(tmp_path):
    with av.open(str(tmp_path / "hdr.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"x264-params": "transfer=smpte2084:tff=1"})
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    warnings = read(tmp_path / "hdr.mp4")[1].warnings
    assert "HDR (PQ): not tone-mapped" in warnings
    assert any("interlaced frames: not deinterlaced" in warning for warning in warnings)


def test_an_avi_of_several_chunks_is_cut_off_in_its_last(tmp_path):
    """As OpenDML makes them past a gigabyte."""
    path = record(tmp_path / "v.avi", TEN_A_SECOND)
    whole = path.read_bytes() + b"RIFF" + struct.pack("<I", 4 + 2**20) + b"AVIX" + bytes(2**20)
    path.write_bytes(whole)
    assert read(path)[0] == TEN_A_SECOND.chunks(COUNT)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TruncatedVideo, match="% of the bytes that it declares are missing"):
        read(path)


@pytest.mark.parametrize("begin", [b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67"])
def test_a_matroska_file_that_ends_in_its_first_bytes_is_refused_as_unreadable(tmp_path, begin):
    (tmp_path / "cut.mkv").write_bytes(begin)
    with pytest.raises(UnreadableVideo):
        list(decode(tmp_path / "cut.mkv", {"v": View({"f": FrameRequest(1, "first", (16, 16))})}))
