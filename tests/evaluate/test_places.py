"""Videos that a person names: files, folders, patterns, lists, URLs."""

from pathlib import Path

import pytest

from evaluate.errors import NotHere
from evaluate.watching.places import expand, expand_files
from extract.location import RemoteVideo
from store.labels.errors import VideoFolderError


def test_a_folder_without_video_is_refused_and_a_missing_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none here")
    with pytest.raises(VideoFolderError, match=r"no video in .*: its 1 files are none, such as .*notes.txt"):
        expand([tmp_path])
    (tmp_path / "a.MTS").touch()
    assert expand([tmp_path, Path("absent.mp4")]) == [tmp_path / "a.MTS", Path("absent.mp4")]


def test_patterns_lists_and_standard_input_name_videos_in_their_order(tmp_path: Path) -> None:
    videos = [tmp_path / name for name in ("b.mp4", "a.mp4", "deep/c.mp4", "d[1].mp4")]
    (tmp_path / "deep").mkdir()
    for video in videos:
        video.touch()
    (tmp_path / "some.txt").write_text("# mine\ndeep/c.mp4\nb.mp4\n")
    b, a, c, d = videos
    assert expand([f"{tmp_path}/[ab].mp4"]) == [a, b]
    assert expand([f"{tmp_path}/**/c.*", f"{tmp_path}/dee?"]) == [c, c]
    assert expand([tmp_path / "some.txt"]) == [c, b]
    assert expand([d, "-"], [f"{b}\n", "\n", f"{tmp_path}/a*\n"]) == [d, b, a]
    assert expand([f"{tmp_path}/x*.mp4"]) == [tmp_path / "x*.mp4"]  # reported as missing


def test_a_video_of_the_web_is_no_file_of_this_machine() -> None:
    assert expand(["https://example.org/v.mp4"]) == [RemoteVideo("https://example.org/v.mp4")]
    with pytest.raises(NotHere, match=r"https://example.org/v.mp4 is not a file of this machine"):
        expand_files(["https://example.org/v.mp4"])
