"""Joining labels to videos whose names differ in directory, suffix and extension."""

import time
from pathlib import Path

import pytest

from store.labels.errors import AmbiguousVideoError
from store.labels.files import written_names
from store.labels.folder import find_videos
from store.labels.merging import read_labels
from store.labels.resolve import resolve, video_id


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("yfcc-batch1/722", "yfcc-batch1/722"),
        (".\\yfcc-batch1\\722.MP4", "yfcc-batch1/722"),
        ("Sports_2160P-4e9f_crf_10_ss_00_t_20.0.mp4", "Sports_2160P-4e9f"),
        ("Sports_2160P-4e9f_crf_10_ss_00_t_20.0", "Sports_2160P-4e9f"),
        ("8536919744_original_centercrop_960x540_8s.mp4", "8536919744"),
        ("8536919744_cut_centercrop_960x540_8s.mp4", "8536919744"),
        ("ia-batch23/World_of_Beer.mov.mp4", "ia-batch23/World_of_Beer"),
        ("Video/A012NEW.mp4", "Video/A012"),
        ("BRANDNEW.mp4", "BRANDNEW"),
        ("take.2", "take.2"),
        (".mp4", ".mp4"),
        (" /a//b.mkv ", "a/b"),
        ("", ""),
    ],
)
def test_ids_forgive_separators_extension_and_suffix(name: str, expected: str) -> None:
    assert video_id(name) == expected
    assert video_id(expected) == expected


def test_real_labels_meet_real_videos(shared_data: Path) -> None:
    videos = find_videos(shared_data / "videos")
    labels = [label.video for label in read_labels(shared_data / "labels/KoNViD-1k/labels.txt")]
    labels += [label.video for label in read_labels(shared_data / "labels/LSVQ/labels_test.txt")]
    coverage = resolve(labels, videos, shared_data / "videos")
    expected = {
        "KoNViD_1k_videos/10053703034": "10053703034.mp4",
        "KoNViD_1k_videos/2999049224": "2999049224_original_centercrop_960x540_8s.mp4",
        "yfcc-batch22/17734": "17734.mp4",
    }
    assert expected.items() <= {label: path.name for label, path in coverage.found.items()}.items()
    assert len(coverage.missing) == len(labels) - len(coverage.found)
    assert len(coverage.extra) == len(videos) - len(coverage.found)


def test_both_releases_of_live_vqc_name_the_same_videos(shared_data: Path) -> None:
    releases = [
        shared_data / "labels" / "LIVE-VQC" / name for name in ("LIVE_VQC_metadata.csv", "labels.txt")
    ]
    one, other = ({label.video: label.mos for label in read_labels(path)} for path in releases)
    coverage = resolve(one, other)
    assert len(coverage.found) == 585 and not coverage.missing and not coverage.extra
    assert all(one[video] == other[name] for video, name in coverage.found.items())


@pytest.mark.slow
def test_all_lsvq_videos_resolve_in_their_own_directories(shared_data: Path) -> None:
    labels = [label.video for label in read_labels(shared_data / "labels/LSVQ/train_labels.txt")]
    coverage = resolve(labels, [f"/data/lsvq/{label}.mp4" for label in labels])
    assert not coverage.missing and not coverage.extra
    assert all(file == f"/data/lsvq/{label}.mp4" for label, file in coverage.found.items())


def test_a_flat_folder_is_refused_where_lsvq_names_repeat(shared_data: Path) -> None:
    labels = [label.video for label in read_labels(shared_data / "labels/LSVQ/labels_test.txt")]
    flat = sorted({label.rpartition("/")[2] for label in labels})
    with pytest.raises(AmbiguousVideoError, match="could belong to 2 labels"):
        resolve(labels, flat)


def test_directory_is_forgiven_when_only_one_side_knows_it() -> None:
    assert resolve(["yfcc-batch1/722"], [Path("/data/videos/722.mp4")]).missing == []
    assert resolve(["722"], ["yfcc-batch1/722"]).found == {"722": "yfcc-batch1/722"}


def test_directory_known_to_both_sides_tells_videos_apart() -> None:
    labels = ["ia/7", "ia/8", "yfcc/7"]
    coverage = resolve(labels, ["yfcc/7.mp4", "ia/8.mp4"])
    assert coverage.found == {"yfcc/7": "yfcc/7.mp4", "ia/8": "ia/8.mp4"}
    assert coverage.missing == ["ia/7"]
    # The other video of that name must not stand in, even where its own label is not asked for.
    assert resolve(["ia/7", "yfcc/9"], ["yfcc/7.mp4"]).missing == ["ia/7", "yfcc/9"]


def test_several_candidates_are_refused_by_name() -> None:
    with pytest.raises(AmbiguousVideoError, match=r"label a could mean 2 videos: x/a.mp4, y/a.mkv"):
        resolve(["a"], ["x/a.mp4", "y/a.mkv"])


def test_thumbnail_beside_a_video_does_not_count() -> None:
    assert resolve(["a"], ["a.jpg", "a.mp4"]).found == {"a": "a.mp4"}


def test_report_counts_all_and_names_ten() -> None:
    coverage = resolve([f"v{i:02}" for i in range(13)], [Path("v00.mp4"), Path("other.mp4")])
    assert coverage.report().splitlines() == [
        "1 of 13 labelled videos found",
        "12 labels without a video: v01, v02, v03, v04, v05, v06, v07, v08, v09, v10, …",
        "1 video without a label: other.mp4",
    ]
    assert coverage.to_json()["found"] == {"v00": "v00.mp4"}
    assert len(coverage.to_json()["missing"]) == 12


def test_folders_that_differ_never_join() -> None:
    files = [Path("/data/mine/day2/0001.mp4")]
    coverage = resolve(["day1/0001"], files, Path("/data/mine"))
    assert (coverage.found, coverage.missing) == ({}, ["day1/0001"])
    assert coverage.elsewhere == {"day1/0001": "/data/mine/day2/0001.mp4"}
    assert "not joined, as the folders differ: day1/0001 (/data/mine/day2/0001.mp4)" in coverage.report()
    assert resolve(["day1/0001"], ["day2/0001"]).missing == ["day1/0001"]


def test_folders_above_the_searched_one_count_only_where_they_agree() -> None:
    files = [Path("/data/KoNViD/7.mp4")]
    assert resolve(["KoNViD_1k_videos/7"], files, Path("/data/KoNViD")).missing == []
    assert resolve(["ia/7", "yfcc/7"], [Path("/data/yfcc/7.mp4")], Path("/data/yfcc")).found == {
        "yfcc/7": Path("/data/yfcc/7.mp4")
    }
    # A model that was run elsewhere names its files by their absolute paths.
    assert resolve(["Video/A1", "Video/A2"], ["/home/me/vqc/A1.mp4", "/home/me/vqc/A2.mp4"]).missing == []


def test_exact_names_come_before_names_without_ending() -> None:
    written = {"a": "a.mp4"}
    assert resolve(["a"], ["a.mp4", "a.webm"], written=written).found == {"a": "a.mp4"}
    assert resolve(["a"], ["a.mp4", "x/a.mp4"], written=written).found == {"a": "a.mp4"}
    crf = [f"Sports-4e9f_crf_{n}_ss_00_t_20.0.mp4" for n in (10, 40)]
    assert resolve(["Sports-4e9f"], crf, written={"Sports-4e9f": crf[1]}).found == {"Sports-4e9f": crf[1]}


def test_labels_that_differ_in_ending_alone_are_different_videos(tmp_path: Path) -> None:
    rows = "a.mp4,4\na.webm,2\nb_crf_10_ss_00_t_20.0.mp4,3\nb_crf_40_ss_00_t_20.0.mp4,1\n"
    (tmp_path / "labels.csv").write_text(f"video,mos\n{rows}")
    labels = read_labels(tmp_path / "labels.csv")
    names = ["a.mp4", "a.webm", "b_crf_10_ss_00_t_20.0.mp4", "b_crf_40_ss_00_t_20.0.mp4"]
    assert [label.video for label in labels] == names
    files = [Path(name) for name in names]
    assert resolve(names, files, written=written_names(labels)).found == dict(zip(names, files, strict=True))
    assert resolve(names, names).missing == []
    assert resolve(names[:2], ["a"]).missing == names[:2]


def test_absolute_labels_of_one_directory_keep_to_it_where_the_videos_know_it() -> None:
    labels = ["/data/LSVQ/yfcc/100.mp4", "/data/LSVQ/yfcc/101.mp4"]
    coverage = resolve(labels, ["ia/100", "yfcc/101"])
    assert (coverage.found, coverage.missing) == ({labels[1]: "yfcc/101"}, labels[:1])
    assert resolve(labels, ["v/100", "v/101"]).missing == []


def test_composed_and_decomposed_letters_meet() -> None:
    assert video_id("cafe\u0301.mp4") == "caf\u00e9"
    assert resolve(["caf\u00e9"], ["cafe\u0301.mp4"]).missing == []


def test_names_of_any_bytes_join_and_are_shown_escaped() -> None:
    odd = "\udcb2\udce2"
    assert resolve([odd, "a\nb"], [Path(f"{odd}.mp4"), Path("a\nb.mp4")]).missing == []
    said = resolve([odd, "a\nb"], list[Path]()).report()
    assert r"\udcb2\udce2, a\nb" in said
    said.encode()


@pytest.mark.slow
def test_the_time_for_videos_of_one_name_grows_with_their_number_not_its_square() -> None:
    seconds = []
    for count in (2_000, 16_000):
        labels = [f"{i}/video" for i in range(count)]
        files = [f"/data/{label}.mp4" for label in labels]
        began = time.process_time()
        coverage = resolve(labels, files, Path("/data"))
        seconds.append(time.process_time() - began)
        assert coverage.found == dict(zip(labels, files, strict=True))
    assert seconds[1] < 24 * seconds[0], "8 times as many; 64 were the square"
