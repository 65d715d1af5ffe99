"""Videos that were cut out of longer ones, and files that were cut off: what is there, and what is said."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from damaged_containers import cut, cut_out, numbered, record, seen_numbers

from extract.errors import TruncatedVideo
from extract.video.decode import decode
from extract.video.sizes import declared_bytes
from extract.video.view import FrameRequest, View

COUNT = 3
TEN_A_SECOND = numbered([Fraction(n, 10) for n in range(60)], Fraction(1, 10))
SILENT = "nothing tells whether the file is whole: it declares no length"
SHORTENED = "bytes that the file declares are missing at its end"
FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"
NO_INDEX = {"movflags": f"{FRAGMENTED}+skip_trailer"}
OPEN_GROUPS = {
    "libx265": {"x265-params": "keyint=20:min-keyint=20:open-gop=1:bframes=4:scenecut=0:log-level=none"},
    "libx264": {
        "x264-params": "keyint=20:min-keyint=20:open-gop=1:b-adapt=0:bframes=3:scenecut=0:repeat-headers=1"
    },
    "mpeg2video": {"g": "20", "bf": "2", "sc_threshold": "1000000000", "b": "1000000"},
}


def read(path: Path):
    view = View({"luma": FrameRequest(COUNT, "uniform", colour="luma")})
    decoding = decode(path, {"view": view})
    return [seen_numbers(chunk.frames["luma"]) for _, chunk in decoding], decoding.info


@pytest.fixture(scope="module", params=OPEN_GROUPS)
def open_groups(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("open") / f"{request.param}.mp4"
    return record(path, TEN_A_SECOND, codec=request.param, settings=OPEN_GROUPS[request.param])


@pytest.mark.parametrize("frames", [10, 20, 35])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("mp4", {}),
        ("mp4", {"use_editlist": "0"}),
        ("mov", {}),
        ("mp4", {"movflags": FRAGMENTED}),
        ("mkv", {}),
        ("ts", {}),
    ],
)
def test_a_clip_that_begins_in_an_open_group_is_shown_from_its_key_frame(
    tmp_path, open_groups, suffix, options, frames
):
    clip = cut_out(open_groups, tmp_path / f"v.{suffix}", 1, frames, options)
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    first = packets[0].pts
    leading = [packet for packet in packets if packet.pts < first]
    assert leading
    unhidden = [packet for packet in leading if not packet.is_discard]
    with av.open(str(open_groups)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        key = [packet for packet in packets if packet.is_keyframe][1]
        start = sum(packet.pts < key.pts for packet in packets)
    chunks, info = read(clip)
    assert info.frames == frames - len(leading)
    expected = TEN_A_SECOND.part(start, start + info.frames).chunks(COUNT)
    assert np.abs(np.subtract(chunks, expected)).max() <= 2  # MPEG-2 is not exact; packets end out of order
    said = f"the first {len(unhidden)} frames do not decode: they lean on some that were cut off"
    assert info.warnings == ((said,) if unhidden else ())


@pytest.mark.parametrize("damage", [100, 10_000])
def test_a_damaged_first_group_is_still_missed(tmp_path, damage):
    path = record(tmp_path / "v.mp4", TEN_A_SECOND.part(0, 24))
    with av.open(str(path)) as container:
        first = next(packet for packet in container.demux(video=0) if packet.size)
        at, size = first.pos, min(damage, first.size)
    data = bytearray(path.read_bytes())
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
    with pytest.raises(TruncatedVideo):
        read(path)


def boxes(path: Path):
    """(kind, where it begins) of an MP4's boxes."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        yield data[at + 4 : at + 8], at
        at += struct.unpack_from(">I", data, at)[0]


def cut_before_fragment(path: Path, number: int, more: int = 0) -> Path:
    at = [begin for kind, begin in boxes(path) if kind == b"moof"][number]
    path.write_bytes(path.read_bytes()[: at + more])
    return path


def declaring(path: Path, seconds: int) -> Path:
    """Let a fragmented MP4 say how long it is, in a box of its own (mehd)."""
    data = bytearray(path.read_bytes())
    (timescale,) = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)
    box = struct.pack(">I4sII", 16, b"mehd", 0, seconds * timescale)
    for name in (b"moov", b"mvex"):
        at = data.index(name) - 4
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(box))
    at = data.index(b"mvex") + 4
    path.write_bytes(data[:at] + box + data[at:])
    return path


@pytest.mark.parametrize(
    "flags", [FRAGMENTED, f"{FRAGMENTED}+dash", f"{FRAGMENTED}+dash+global_sidx", "frag_keyframe"]
)
def test_a_fragmented_mp4_with_an_index_is_whole_or_said_to_be_cut(tmp_path, flags):
    path = record(tmp_path / "v.mp4", TEN_A_SECOND, options={"movflags": flags})
    assert read(path)[1].warnings == ()
    if "global_sidx" in flags:
        with pytest.raises(TruncatedVideo, match="% of the bytes that it declares are missing"):
            read(cut_before_fragment(path, 3))
        return
    chunks, info = read(cut_before_fragment(path, 3))
    assert chunks == TEN_A_SECOND.part(0, info.frames).chunks(COUNT)
    assert info.frames in (36, 48) and info.warnings == (SILENT,)


def test_a_fragmented_mp4_cut_within_a_fragments_index_has_lost_bytes(tmp_path):
    path = record(tmp_path / "v.mp4", TEN_A_SECOND, options=NO_INDEX)
    chunks, info = read(cut_before_fragment(path, 3, more=50))
    assert chunks == TEN_A_SECOND.part(0, 36).chunks(COUNT)
    assert info.warnings == (SHORTENED, SILENT)


def test_a_fragmented_mp4_that_says_how_long_it_is_is_measured_by_that(tmp_path):
    path = declaring(record(tmp_path / "v.mp4", TEN_A_SECOND, options=NO_INDEX), 6)
    assert read(path)[1].warnings == ()
    with pytest.raises(TruncatedVideo, match=r"3\.60 s of the declared 6\.00 s decode"):
        read(cut_before_fragment(path, 3))


def test_a_part_of_a_fragmented_recording_is_not_measured_by_the_length_of_all_of_it(tmp_path):
    path = record(tmp_path / "v.mp4", TEN_A_SECOND, options=NO_INDEX)
    begins = [begin for kind, begin in boxes(path) if kind == b"moof"]
    data = path.read_bytes()
    path.write_bytes(data[: begins[0]] + data[begins[2] : begins[4]])
    chunks, info = read(declaring(path, 6))
    assert chunks == TEN_A_SECOND.part(24, 48).chunks(COUNT)
    assert info.warnings == (SILENT,)


def test_an_asf_file_that_was_cut_off_is_missed_by_the_size_it_declares(tmp_path):
    path = record(tmp_path / "v.wmv", TEN_A_SECOND, codec="wmv2", settings={"g": "12", "b": "1000000"})
    whole = path.read_bytes()
    packets_end = declared_bytes(path)
    assert packets_end is not None and 0.9 * len(whole) < packets_end < len(whole)
    assert read(path)[1].warnings == ()
    path.write_bytes(whole[:packets_end])  # the index behind the packets is not missed
    assert read(path)[1].warnings == ()
    path.write_bytes(whole)
    assert SHORTENED in read(cut(path, 0.95))[1].warnings
    with pytest.raises(TruncatedVideo, match="% of the bytes that it declares are missing"):
        read(cut(path, 0.63))
    at = whole.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    live = bytearray(whole)
    live[at + 88] |= 1  # a broadcast: what it says of its size means nothing
    path.write_bytes(live)
    assert declared_bytes(path) is None


@pytest.mark.parametrize("options", [{}, NO_INDEX])
@pytest.mark.parametrize(
    "box",
    [
        struct.pack(">I4sQ", 1, b"free", 2**64 - 8),
        struct.pack(">I4sQ", 1, b"free", 2**63 - 8),
        struct.pack(">I4s", 8, b"sidx"),
    ],
)
def test_odd_boxes_behind_an_mp4_cost_nothing(tmp_path, options, box):
    path = record(tmp_path / "v.mp4", TEN_A_SECOND, options=options)
    expected, before = read(path)
    path.write_bytes(path.read_bytes() + box)
    found, after = read(path)
    assert (found, after.warnings) == (expected, before.warnings)


def test_any_largest_gap_is_taken(tmp_path):
    path = record(tmp_path / "v.mp4", TEN_A_SECOND)
    view = View({"luma": FrameRequest(COUNT, "uniform", colour="luma")})
    for seconds in (1e300, float("inf")):
        assert sum(1 for _ in decode(path, {"view": view}, largest_gap_seconds=seconds)) == 6
