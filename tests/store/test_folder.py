"""Which files of a folder are videos."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from small_videos import encode

from store.labels.errors import VideoFolderError
from store.labels.folder import find_videos, require_videos


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_videos(folder)]


def place(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()


def test_videos_are_found_below_in_any_case_and_sorted(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    place(tmp_path, "c.MP4", "b/a.mkv", "a.y4m", "00001.MTS", "notes.txt", "._c.MP4")
    assert names(tmp_path) == ["00001.MTS", "a.y4m", "b/a.mkv", "c.MP4"]


def test_trash_snapshots_and_hidden_folders_are_not_searched(tmp_path: Path) -> None:
    place(
        tmp_path, "a.mp4", ".snapshot/a.mp4", ".Trash-1000/files/b.mp4", "@eaDir/c.mp4", "x/lost+found/d.mp4"
    )
    assert names(tmp_path) == ["a.mp4"]


def test_linked_folders_are_searched_once_and_loops_end(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    place(videos, "batch/a.mp4")
    place(tmp_path / "disk2", "far.mp4")
    (videos / "part2").symlink_to("../disk2")
    (videos / "again").symlink_to("batch")
    (videos / "loop").symlink_to("..")
    (videos / "itself").symlink_to("itself")
    (tmp_path / "disk2" / "back").symlink_to("../videos")
    assert names(videos) == ["batch/a.mp4", "part2/far.mp4"]


def test_folders_that_cannot_be_entered_are_skipped_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Not in tmp_path, which nobody but root could enter; and root may enter everything.
    with TemporaryDirectory() as name:
        folder, user = Path(name), os.geteuid()
        place(folder, "a.mp4", "closed/b.mp4", "closed/deep/c.mp4")
        (folder / "link").symlink_to("closed/deep")
        (folder / "closed").chmod(0o444)
        folder.chmod(0o755)
        try:
            if user == 0:
                os.seteuid(65534)
            assert names(folder) == ["a.mp4"]
        finally:
            os.seteuid(user)
            (folder / "closed").chmod(0o755)
    assert "closed is not searched for videos: Permission denied" in caplog.text


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "mpeg4"), ("matroska", "mpeg4"), ("mpegts", "mpeg2video"), ("avi", "mpeg4"), ("flv", "flv")],
)
def test_videos_are_known_by_content_where_not_by_extension(
    tmp_path: Path, container: str, codec: str
) -> None:
    encode(tmp_path / "recording", frames=12, rate=25, codec=codec, container_format=container)
    place(tmp_path, "notes", "table.csv", "sound.m4a")
    (tmp_path / "table.csv").write_text("video,mos\na,1\n")
    assert names(tmp_path) == ["recording"]


def test_a_folder_without_video_is_an_error_where_one_is_needed(tmp_path: Path) -> None:
    with pytest.raises(VideoFolderError, match="does not exist"):
        find_videos(tmp_path / "absent")
    with pytest.raises(VideoFolderError, match="it has no files"):
        require_videos(tmp_path)
    place(tmp_path, "a\nb.txt")
    with pytest.raises(VideoFolderError, match=r"its 1 files are none, such as .*a\\nb.txt"):
        require_videos(tmp_path)
    assert find_videos(tmp_path) == []
