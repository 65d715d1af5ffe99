"""Folds that were published with a dataset."""

import logging
from pathlib import Path

import pytest

from config.schema import DatasetSettings
from store.labels.errors import LabelsMissingError, SplitError
from store.labels.folds import published_folds

REAL = {
    "KoNViD-1K/KoNViD_1k_videos": ("KoNViD-1k/KONVID_1K_metadata.csv", 1200, 1200),
    "LIVE-VQC/LIVE-VQC_videos": ("LIVE-VQC/LIVE_VQC_metadata.csv", 585, 585),
    "youtube_ugc/youtube_ugc_videos": ("YouTube-UGC/YOUTUBE_UGC_metadata.csv", 1142, 1380),
    "LIVE-YT-Gaming/LIVE-YT-Gaming_videos": ("LIVE-YT-Gaming/LIVEYTGaming.mat", 600, 600),
}


def settings(labels: Path, folds: object, **changes: object) -> DatasetSettings:
    known = {"name": "own", "videos": Path("videos"), "mos_range": (0, 100), "source": "https://example.org"}
    return DatasetSettings.model_validate(known | {"labels": labels, "folds": folds} | changes)


def text_file(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    rows = "".join(
        f"v/{name}.mp4,{10 * i},{name[0]}\n" for i, name in enumerate(("a1", "a2", "b1", "b2", "c1"))
    )
    return text_file(tmp_path / "labels.csv", f"video,mos,content\n{rows}")


@pytest.mark.slow
@pytest.mark.parametrize("folder", REAL)
def test_lmm_vqas_folds_join_both_releases_of_the_labels(
    shared_data: Path, folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    published, in_folds, labelled = REAL[folder]
    videos = shared_data / "labels/LMM-VQA" / folder
    (own,) = videos.glob("*_ds.json")
    for labels in (own, shared_data / "labels" / published):
        splits = published_folds(settings(labels, videos / "five" / "*_ds.json"), validation_share=0.1)
        tested = [label.video for split in splits for label in split["test"]]
        assert len(splits) == 5 and len(set(tested)) == len(tested) == in_folds
        for split in splits:
            parts = [{label.video for label in part} for part in split.values()]
            assert sum(map(len, parts)) == len(set[str]().union(*parts)) == in_folds
            assert len(split["val"]) == pytest.approx(0.1 * in_folds, abs=1)
    assert ("labels are in no fold" in caplog.text) == (in_folds < labelled)


def test_real_folds_that_divide_games_are_warned_of(
    shared_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    videos = shared_data / "labels/LMM-VQA/LIVE-YT-Gaming/LIVE-YT-Gaming_videos"
    (own,) = videos.glob("*_ds.json")
    data = settings(own, videos / "five" / "*_ds.json", group=r"^(.+)-\d+$")
    for split in published_folds(data, validation_share=0.1):
        train, val = ({label.group for label in split[part]} for part in ("train", "val"))
        assert not train & val
    assert "own: the published folds divide 51 content groups" in caplog.text


@pytest.mark.parametrize(
    "text",
    ["v/a1.mp4\nb2\n", "video,mos\nv/a1.MP4,1\nv/b2.mp4,\n", "v/a1.mp4, -1, -1, 3\nb2.mp4, -1, -1, 3\n"],
)
def test_lists_and_tables_are_folds_in_the_order_of_their_numbers(
    tmp_path: Path, labels: Path, text: str
) -> None:
    text_file(tmp_path / "fold_10.txt", text)
    text_file(tmp_path / "fold_9.txt", "v/a2.mp4\nv/b1.mp4\n\ufeffv/c1.mp4\n")
    splits = published_folds(settings(labels, tmp_path / "fold_*.txt"))
    ids = [{part: [label.video for label in of] for part, of in split.items()} for split in splits]
    nine, ten = ["v/a2", "v/b1", "v/c1"], ["v/a1", "v/b2"]
    assert ids == [{"train": ten, "val": [], "test": nine}, {"train": nine, "val": [], "test": ten}]


def test_folds_named_one_by_one_keep_their_order(tmp_path: Path, labels: Path) -> None:
    folds = [text_file(tmp_path / f"{name}.txt", f"{name}\n") for name in ("b2", "a1", "c1")]
    splits = published_folds(settings(labels, folds))
    assert [[label.video for label in split["test"]] for split in splits] == [["v/b2"], ["v/a1"], ["v/c1"]]


def test_columns_of_own_names_are_those_of_the_folds(tmp_path: Path) -> None:
    labels = text_file(tmp_path / "labels.csv", "clip,mos\na,1\nb,90\n")
    folds = [text_file(tmp_path / "1.csv", "n,clip\n1,a\n"), text_file(tmp_path / "2.csv", "name\nb\n")]
    splits = published_folds(settings(labels, folds, video_column="clip"))
    assert [split["test"][0].video for split in splits] == ["a", "b"]


@pytest.mark.parametrize(
    ("texts", "error", "said"),
    [
        (
            ("a1\na2\n", "b1\na2\n"),
            SplitError,
            r"1\.txt and .*2\.txt share 1 videos: v/a2; expected each in one",
        ),
        (("a1\n", "b1\nv/a1.mp4\n"), SplitError, r"share 1 videos: v/a1"),
        (
            ("a1\n", "b1\nz9\n"),
            SplitError,
            r"2\.txt names 1 of 2 videos without a label in own: z9; expected",
        ),
        (("a1\n", "other/b1.mp4\n"), SplitError, r"2\.txt names 1 of 1 videos without a label"),
        (("a1\n",), SplitError, r"datasets\.own\.folds is .*1\.txt: expected two or more different files"),
        ((), SplitError, r"datasets\.own\.folds is not set: expected two or more"),
    ],
)
def test_folds_that_are_none_are_refused(
    tmp_path: Path, labels: Path, texts: tuple[str, ...], error: type[Exception], said: str
) -> None:
    folds = [text_file(tmp_path / f"{i}.txt", text) for i, text in enumerate(texts, start=1)]
    with pytest.raises(error, match=said):
        published_folds(settings(labels, folds))


def test_a_fold_with_an_excluded_video_is_refused_by_the_setting_that_excludes_it(
    tmp_path: Path, labels: Path
) -> None:
    folds = [text_file(tmp_path / "1.txt", "a1\n"), text_file(tmp_path / "2.txt", "b1\nb2\n")]
    said = (
        r"2\.txt names 1 of 2 videos without a label in own: b2; .*without those that datasets\.own\.exclude"
    )
    with pytest.raises(SplitError, match=said):
        published_folds(settings(labels, folds, exclude=["v/b2"]))


def test_one_file_is_no_folds_and_absent_ones_come_with_directions(tmp_path: Path, labels: Path) -> None:
    one = text_file(tmp_path / "1.txt", "a1\n")
    for folds in (one, [one, one]):
        with pytest.raises(SplitError, match="expected two or more different files"):
            published_folds(settings(labels, folds))
    for absent in (tmp_path / "fold_*.json", [one, tmp_path / "2.txt"]):
        with pytest.raises(LabelsMissingError, match=r"own\.folds: there is no .*from: https://example\.org"):
            published_folds(settings(labels, absent))


def test_labels_in_no_fold_and_divided_contents_are_warned_of(
    tmp_path: Path, labels: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folds = [text_file(tmp_path / "1.txt", "a1\nb1\nb2\n"), text_file(tmp_path / "2.txt", "a2\n")]
    with caplog.at_level(logging.WARNING):
        published_folds(settings(labels, folds, group="content"))
    assert "own: 1 labels are in no fold: v/c1" in caplog.text
    assert "divide 1 content groups, so that what is tested on has in part been trained on: a" in caplog.text
