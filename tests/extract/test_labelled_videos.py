"""Which files of a dataset's folder belong to its labels, and what is said where none does."""

from pathlib import Path

import pytest

from config.schema import DatasetSettings
from extract.errors import NoVideos
from extract.job.dataset import labelled_videos


def dataset(folder: Path, files: list[str], labels: str) -> DatasetSettings:
    for file in files:
        (folder / "videos" / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / "videos" / file).touch()
    (folder / "labels.csv").write_text(labels, errors="surrogateescape")
    return DatasetSettings(
        name="own",
        videos=folder / "videos",
        labels=folder / "labels.csv",
        mos_range=(1, 5),
        source="our lab",
    )


def test_files_are_joined_as_the_labels_write_them(tmp_path: Path) -> None:
    files = ["a.mp4", "a.webm", "b.mp4", "b.mkv", "a\nb.mp4", "\udcb2\udce2.mp4"]
    labels = 'video,mos\na.mp4,4\na.webm,2\nb.mkv,3\n"a\nb.mp4",2\n\udcb2\udce2,5\n'
    coverage = labelled_videos(dataset(tmp_path, files, labels))
    assert {label: file.name for label, file in coverage.found.items()} == {
        "a.mp4": "a.mp4",
        "a.webm": "a.webm",
        "b": "b.mkv",
        "a%0Ab": "a\nb.mp4",
        "%B2%E2": "\udcb2\udce2.mp4",
    }
    assert [Path(file).name for file in coverage.extra] == ["b.mp4"]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("day2/0001.mp4", "folders differ .*: day1/0001 is not joined with .*day2/0001.mp4"),
        ("other.mp4", "no file is named like its 1 labels, such as day1/0001"),
        (".Trash-1000/files/0001.mp4", "no video in .*: it has no files"),
    ],
)
def test_a_dataset_without_videos_says_why_and_where_to_get_them(
    tmp_path: Path, file: str, said: str
) -> None:
    with pytest.raises(NoVideos, match=rf"(?s){said}.*get them from: our lab"):
        labelled_videos(dataset(tmp_path, [file], "video,mos\nday1/0001,3\n"))
