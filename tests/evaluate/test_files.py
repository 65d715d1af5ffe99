"""Files that a person wants scored."""

from pathlib import Path

import pytest

from evaluate.scoring.files import expand, render
from evaluate.scoring.model import FilePrediction
from store.labels.errors import VideoFolderError


def test_a_folder_without_video_is_refused_and_a_missing_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none here")
    with pytest.raises(VideoFolderError, match=r"no video in .*: its 1 files are none, such as .*notes.txt"):
        expand([tmp_path])
    (tmp_path / "a.MTS").touch()
    assert expand([tmp_path, Path("absent.mp4")]) == [tmp_path / "a.MTS", Path("absent.mp4")]


def test_names_of_any_bytes_are_one_row_each() -> None:
    names = ["a\nb.mp4", "\udcb2\udce2.mp4"]
    outcomes = [FilePrediction(Path(name), None, "not readable") for name in names]
    lines = render(outcomes, "plain").splitlines()
    assert len(lines) == 4 and r"a\nb.mp4" in lines[2] and r"\udcb2\udce2.mp4" in lines[3]
