"""Joining labels to videos whose names differ in directory, suffix and extension."""

from pathlib import Path

import pytest

from store.labels.errors import AmbiguousVideoError, VideoFolderMissingError
from store.labels.files import read_labels
from store.labels.resolve import find_videos, resolve, video_id


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
    coverage = resolve(labels, videos)
    assert {label: path.name for label, path in coverage.found.items()} == {
        "KoNViD_1k_videos/12255205254": "12255205254.mp4",
        "KoNViD_1k_videos/6293871635": "6293871635.mp4",
        "KoNViD_1k_videos/8069880437": "8069880437.mp4",
        "KoNViD_1k_videos/8440795977": "8440795977.mp4",
        "yfcc-batch22/17734": "17734.mp4",
    }
    assert len(coverage.missing) == len(labels) - 5
    assert len(coverage.extra) == len(videos) - 5


def test_both_releases_of_live_vqc_name_the_same_videos(shared_data: Path) -> None:
    releases = [
        shared_data / "labels" / "LIVE-VQC" / name for name in ("LIVE_VQC_metadata.csv", "labels.txt")
    ]
    one, other = ({label.video: label.mos for label in read_labels(path)} for path in releases)
    coverage = resolve(one, other)
    assert len(coverage.found) == 585 and not coverage.missing and not coverage.extra
    assert all(one[video] == other[name] for video, name in coverage.found.items())


def test_all_lsvq_videos_resolve_in_their_own_directories(shared_data: Path) -> None:
    labels = [label.video for label in read_labels(shared_data / "labels/LSVQ/train_labels.txt")]
    coverage = resolve(labels, [Path("/data/lsvq") / f"{label}.mp4" for label in labels])
    assert not coverage.missing and not coverage.extra
    assert all(str(path) == f"/data/lsvq/{label}.mp4" for label, path in coverage.found.items())


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


def test_videos_are_found_below_in_any_case_and_sorted(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "folder.mp4").mkdir()
    for name in ("c.MP4", "b/a.mkv", "a.y4m", "notes.txt", "._c.MP4"):
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_videos(tmp_path)]
    assert found == ["a.y4m", "b/a.mkv", "c.MP4"]


def test_absent_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoFolderMissingError, match="does not exist"):
        find_videos(tmp_path / "absent")
