"""Label files of every layout, and what is said about those that cannot be used."""

from pathlib import Path

import h5py
import pytest

from config.schema import AlignmentSettings, DatasetSettings
from store.labels.columns import Columns
from store.labels.dataset import grouped_labels, labelled_split, labels_of
from store.labels.errors import (
    DuplicateLabelError,
    GroupError,
    LabelLayoutError,
    LabelsMissingError,
    LabelValueError,
    MosRangeError,
    SplitError,
)
from store.labels.files import Label, MosScale
from store.labels.merging import read_labels
from store.labels.resolve import resolve

KONVID = ("KoNViD-1k/KONVID_1K_metadata.csv", "KoNViD-1k/labels.txt", "KoNViD-1k/KoNViD-1k_data.mat")
LIVE_VQC = ("LIVE-VQC/LIVE_VQC_metadata.csv", "LIVE-VQC/labels.txt", "LIVE-VQC/LIVE_VQC_data.mat")
YOUTUBE_UGC = (
    "YouTube-UGC/YOUTUBE_UGC_metadata.csv",
    "YouTube-UGC/labels.txt",
    "YouTube-UGC/youtube_ugc_data.mat",
)
LSVQ_TEST = ("LSVQ/labels_test.txt", "LSVQ/LSVQ_whole_test.csv")
LSVQ_1080P = ("LSVQ/labels_1080p.txt", "LSVQ/LSVQ_whole_test_1080p.csv")
ROWS = {
    **dict.fromkeys(KONVID, 1200),
    **dict.fromkeys(LIVE_VQC, 585),
    **dict(zip(YOUTUBE_UGC, (1380, 1147, 1142), strict=True)),
    **dict(zip(LSVQ_TEST, (7186, 7220), strict=True)),
    **dict(zip(LSVQ_1080P, (3573, 3561), strict=True)),
    "LSVQ/train_labels.txt": 28056,
    "LIVE-YT-Gaming/LIVEYTGaming.mat": 600,
}


def settings(labels: Path | dict[str, Path], **changes: object) -> DatasetSettings:
    known = {"name": "own", "videos": Path("videos"), "mos_range": (0, 100), "source": "https://example.org"}
    return DatasetSettings.model_validate(known | {"labels": labels} | changes)


def csv_file(folder: Path, text: str, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("file", "rows"), ROWS.items())
def test_every_real_layout_gives_all_its_rows(shared_data: Path, file: str, rows: int) -> None:
    labels = read_labels(shared_data / "labels" / file)
    assert len({label.video for label in labels}) == len(labels) == rows


@pytest.mark.parametrize("file", KONVID)
def test_real_konvid_videos_have_their_published_scores(shared_data: Path, file: str) -> None:
    published = {"12255205254": 3.96, "6293871635": 3.68, "8069880437": 3.64, "8440795977": 2.28}
    mos = {label.video: label.mos for label in read_labels(shared_data / "labels" / file)}
    joined = resolve(published, mos).found
    assert {video: mos[name] for video, name in joined.items()} == pytest.approx(published, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("file", LSVQ_TEST)
def test_the_real_lsvq_video_has_its_published_score(shared_data: Path, file: str) -> None:
    mos = {label.video: label.mos for label in read_labels(shared_data / "labels" / file)}
    assert mos["yfcc-batch22/17734"] == pytest.approx(59.91, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other"),
    [
        *((KONVID[0], other) for other in KONVID[1:]),
        *((LIVE_VQC[0], other) for other in LIVE_VQC[1:]),
        *((YOUTUBE_UGC[0], other) for other in YOUTUBE_UGC[1:]),
        LSVQ_TEST,
        LSVQ_1080P,
    ],
)
def test_layouts_of_one_dataset_agree_on_the_scores(shared_data: Path, one: str, other: str) -> None:
    first = {label.video: label.mos for label in read_labels(shared_data / "labels" / one)}
    second = {label.video: label.mos for label in read_labels(shared_data / "labels" / other)}
    coverage = resolve(first, second)
    assert len(coverage.found) >= 0.98 * min(len(first), len(second))
    for video, name in coverage.found.items():
        assert first[video] == pytest.approx(second[name], abs=0.01), video


def test_other_columns_are_kept_and_their_empty_cells_left_out(shared_data: Path) -> None:
    first = read_labels(shared_data / "labels" / YOUTUBE_UGC[0])[0]
    assert (first.extra["category"], first.extra["resolution"]) == ("Animation", "1080")
    assert "bitrate" not in first.extra  # NaN in the file


def test_own_csv_gives_split_and_further_columns(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path, "\ufeffVideo,MOS,split,content\na/one.MP4,50,training,park\n\na/two.mkv,60,test,\n"
    )
    assert read_labels(path) == [
        Label("a/one", 50, "train", {"content": "park"}),
        Label("a/two", 60, "test", {}),
    ]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_are_read(tmp_path: Path, delimiter: str) -> None:
    path = csv_file(tmp_path, "video,mos,content\nx.mp4,1.5,a\n".replace(",", delimiter))
    assert read_labels(path) == [Label("x", 1.5, None, {"content": "a"})]


def test_names_that_look_like_numbers_stay_apart(tmp_path: Path) -> None:
    contents = ["12e4", "120e3", "007", "7", "12345678901234567", "12345678901234568"]
    rows = "".join(f"v{i},1,{content}\n" for i, content in enumerate(contents))
    data = settings(csv_file(tmp_path, f"video,mos,content\n{rows}"), group="content")
    assert [label.group for label in grouped_labels(data)] == contents


def test_named_columns_are_read_instead_of_known_ones(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "video,mos,clip,quality\nx,1,y,2\n")
    (label,) = read_labels(path, Columns("clip", "quality"))
    assert (label.video, label.mos) == ("y", 2)


def test_rows_without_score_are_skipped_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = csv_file(tmp_path, "video,mos\na.mp4,1\nb.mp4,NaN\nc.mp4,\n")
    assert [label.video for label in read_labels(path)] == ["a"]
    assert "2 rows without a score skipped: b.mp4, c.mp4" in caplog.text


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("video,mos\na.mp4,1\na.MP4,2\n", DuplicateLabelError, "a twice: MOS 1 .* and 2"),
        ("clip,quality\na,1\n", LabelLayoutError, "it has: clip, quality"),
        ("video,mos\na.mp4,good\n", LabelValueError, "score of a.mp4 is 'good'"),
        ("video,mos\na.mp4,inf\n", LabelValueError, "'inf', expected a finite number"),
        ("video,mos\na.mp4,1,2\n", LabelLayoutError, "line 2: 3 columns, expected 2"),
        ("video,mos\n,1\n", LabelValueError, "names no video"),
        ("video,mos\n", LabelLayoutError, "no label with a score"),
        ("", LabelLayoutError, "is empty"),
        ("a.mp4,63.5,12.1\n", LabelLayoutError, "no header and 3 columns"),
    ],
)
def test_unusable_files_are_refused(tmp_path: Path, text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        read_labels(csv_file(tmp_path, text))


def test_missing_binary_and_new_matlab_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsMissingError, match="does not exist"):
        read_labels(tmp_path / "absent.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\x00\x01\xff")
    with pytest.raises(LabelLayoutError, match="UTF-8"):
        read_labels(tmp_path / "bytes.csv")
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["scores"] = [1.0]
    with pytest.raises(LabelLayoutError, match="MATLAB"):
        read_labels(tmp_path / "new.mat")


def test_missing_label_files_come_with_directions(tmp_path: Path) -> None:
    with pytest.raises(LabelsMissingError) as raised:
        labels_of(settings({"train": tmp_path / "train.txt"}))
    for part in (str(tmp_path / "train.txt"), "https://example.org", "[datasets.own]", "make demo"):
        assert part in str(raised.value)


def test_scores_outside_the_declared_range_are_refused(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "video,mos\na.mp4,3\nb.mp4,6\n")
    with pytest.raises(MosRangeError, match=r"labels\.csv: 1 of 2 scores .* 1–5: b \(6\)"):
        labels_of(settings(path, mos_range=(1, 5)))
    with pytest.raises(MosRangeError):
        MosScale(1, 5).to_100(float("nan"))


def test_scale_maps_its_ends_and_back() -> None:
    scale = MosScale(1, 5)
    assert [scale.to_100(mos) for mos in (1, 3, 5)] == [0, 50, 100]
    assert scale.from_100(scale.to_100(3.96)) == pytest.approx(3.96)


def test_an_aligned_scale_is_a_line_of_the_impairment() -> None:
    konvid = MosScale(1, 5, AlignmentSettings(slope=1.1241, intercept=-0.0993))
    assert [konvid.to_100(mos) for mos in (1, 3, 5)] == pytest.approx([-2.48, 53.725, 109.93])
    # The published scores of 5115335471 and B307, on VIDEVAL's combined scale of 1–5.
    assert konvid.to_100(2.16) == pytest.approx(25 * (2.205 - 1), abs=0.02)
    assert konvid.from_100(konvid.to_100(3.96)) == pytest.approx(3.96)
    assert konvid.width_from_100(konvid.to_100(4) - konvid.to_100(3)) == pytest.approx(1)
    live = MosScale(0, 100, AlignmentSettings(slope=0.7132, intercept=0.0253))
    assert [live.to_100(mos) for mos in (0, 100)] == pytest.approx([26.15, 97.47])
    assert live.to_100(62.35) == pytest.approx(25 * (3.825 - 1), abs=0.02)
    dmos = MosScale(100, 0, AlignmentSettings(slope=0.5, intercept=0.1))
    assert [dmos.to_100(score) for score in (100, 50, 0)] == pytest.approx([40, 65, 90])
    assert [dmos.from_100(score) for score in (40, 65, 90)] == pytest.approx([100, 50, 0])
    assert dmos.width_from_100(25) == pytest.approx(50)
    with pytest.raises(MosRangeError):
        konvid.to_100(5.1)


@pytest.mark.slow
def test_lsvq_keeps_its_own_splits_and_gives_validation_from_train(shared_data: Path) -> None:
    folder = shared_data / "labels" / "LSVQ"
    files = {
        "train": folder / "train_labels.txt",
        "test": folder / "labels_test.txt",
        "test-1080p": folder / "labels_1080p.txt",
    }
    split = labelled_split(settings(files, validation_share=0.1))
    counts = {name: len(labels) for name, labels in split.items()}
    assert counts["train"] + counts["val"] == 28056 and 0.09 < counts["val"] / 28056 < 0.11
    assert (counts["test"], counts["test-1080p"]) == (7186, 3573)


def test_gaming_split_shares_no_game(shared_data: Path) -> None:
    data = settings(shared_data / "labels" / "LIVE-YT-Gaming" / "LIVEYTGaming.mat", group=r"^(.+)-\d+$")
    assert len({label.group for label in grouped_labels(data)}) == 59
    games = [{label.group for label in labels} for labels in labelled_split(data).values()]
    assert sum(len(part) for part in games) == len(set().union(*games)) == 59


def test_groups_come_from_a_column(tmp_path: Path) -> None:
    data = settings(csv_file(tmp_path, "video,mos,content\na,1,x\nb,2,x\n"), group="content")
    assert [label.group for label in grouped_labels(data)] == ["x", "x"]
    data = settings(csv_file(tmp_path, "video,mos,content\na,1,x\nb,2,x\nc,3,\n"), group="content")
    with pytest.raises(
        GroupError, match=r"labels\.csv: datasets\.own\.group .*1 of 3 videos no content group: c"
    ):
        grouped_labels(data)


@pytest.mark.parametrize("group", ["scene", "(", "^[a-z]+$"])
def test_group_that_is_neither_column_nor_pattern_is_refused(tmp_path: Path, group: str) -> None:
    data = settings(csv_file(tmp_path, "video,mos,content\na,1,x\n"), group=group)
    with pytest.raises(GroupError, match=r"labels\.csv: its further columns are: content"):
        labels_of(data)


def test_split_column_must_cover_every_row(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"own \(.*labels\.csv\): 1 of 2 labels have no split: b"):
        labelled_split(settings(csv_file(tmp_path, "video,mos,split\na,1,train\nb,2,\n")))


def test_labels_that_are_too_few_to_split_are_named(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "video,mos\na,1\nb,90\n")
    with pytest.raises(
        SplitError, match=r"own \(.*labels\.csv\): 2 videos in 2 content groups cannot be split"
    ):
        labelled_split(settings(path))


def test_own_split_that_divides_a_content_is_refused(tmp_path: Path) -> None:
    rows = "a,1,train,x\nb,2,train,y\nc,3,test,x\n"
    path = csv_file(tmp_path, f"video,mos,split,content\n{rows}")
    with pytest.raises(SplitError, match="1 content groups into both train and test: x"):
        labelled_split(settings(path, group="content"))
    assert set(labelled_split(settings(path))) == {"train", "val", "test"}


def test_test_sets_may_share_a_content_with_each_other(tmp_path: Path) -> None:
    rows = "a,1,train,x\nb,2,train,z\nc,3,test,y\nd,4,test-2,y\n"
    split = labelled_split(settings(csv_file(tmp_path, f"video,mos,split,content\n{rows}"), group="content"))
    assert {name: len(labels) for name, labels in split.items()} == {
        "train": 1,
        "val": 1,
        "test": 1,
        "test-2": 1,
    }


def test_video_in_two_split_files_is_refused(tmp_path: Path) -> None:
    train = csv_file(tmp_path, "video,mos\na,1\n", "train.csv")
    test = csv_file(tmp_path, "video,mos\na.mp4,1\n", "test.csv")
    with pytest.raises(DuplicateLabelError, match=r"a twice: MOS 1 \(split train\) and 1 \(split test\)"):
        labels_of(settings({"train": train, "test": test}))


def test_files_whose_keys_mean_one_split_are_all_read(tmp_path: Path) -> None:
    train = csv_file(tmp_path, "video,mos\na,1\n", "train.csv")
    val = csv_file(tmp_path, "video,mos\nb,2\n", "val.csv")
    more = csv_file(tmp_path, "video,mos\nc,3\n", "more.csv")
    labels = labels_of(settings({"Train": train, "val": val, "Validation": more}))
    assert [(label.video, label.split) for label in labels] == [("a", "train"), ("b", "val"), ("c", "val")]


def test_lower_is_better_where_the_worst_score_is_the_higher(tmp_path: Path) -> None:
    scale = MosScale(100, 0)
    assert [scale.to_100(dmos) for dmos in (100, 75, 0)] == [0, 25, 100]
    assert scale.from_100(scale.to_100(62.5)) == 62.5
    assert (scale.low, scale.high) == (0, 100) and 50 in scale and 101 not in scale
    labels_of(settings(csv_file(tmp_path, "video,dmos\na,99\nb,0\n"), mos_column="dmos", mos_range=(100, 0)))
    for ends in ((3, 3), (0, float("inf")), (float("nan"), 5)):
        with pytest.raises(MosRangeError, match="two different finite numbers"):
            MosScale(*ends)


@pytest.mark.parametrize("listed", [False, True])
def test_excluded_videos_are_left_out(tmp_path: Path, listed: bool) -> None:
    path = csv_file(tmp_path, "video,mos\na.mp4,10\nb.mp4,50\nc.mp4,90\n")
    exclude = csv_file(tmp_path, "b.mp4\nc\n", "grey.txt") if listed else ("b.mp4", "c")
    assert [label.video for label in labels_of(settings(path, exclude=exclude))] == ["a"]


def test_excluded_videos_must_be_labelled_and_leave_some(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "video,mos\na.mp4,10\nb.mp4,50\n")
    with pytest.raises(LabelValueError, match=r"own\.exclude names 1 of 2 videos that have no label: z"):
        labels_of(settings(path, exclude=("a", "z")))
    with pytest.raises(LabelValueError, match=r"own\.exclude names all 2 videos"):
        labels_of(settings(path, exclude=("a", "b")))
    with pytest.raises(LabelsMissingError, match="does not exist"):
        labels_of(settings(path, exclude=tmp_path / "absent.txt"))


def test_scores_in_a_small_part_of_the_range_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = csv_file(tmp_path, "video,mos\na,1\nb,3\nc,5\n")
    labels_of(settings(path, mos_range=(1, 5)))
    assert not caplog.text
    labels_of(settings(path, mos_range=(0, 100)))
    assert "scores lie between 1 and 5, a small part of mos_range 0–100" in caplog.text


def test_contents_that_repeat_are_warned_of_where_no_group_is_set(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = csv_file(tmp_path, "video,mos,content,width\na,1,x,640\nb,90,x,640\nc,50,y,640\n")
    labels_of(settings(path, group="content"))
    assert not caplog.text
    labels_of(settings(path))
    assert (
        'column content has 2 values for 3 videos; without group = "content" in [datasets.own]' in caplog.text
    )
    assert "width" not in caplog.text


def test_a_mistyped_group_is_refused_before_anything_is_extracted_with_the_nearest_name(
    tmp_path: Path,
) -> None:
    path = csv_file(tmp_path, "video,mos,content\na,1,x\nb,90,x\n")
    with pytest.raises(GroupError, match=r"neither a column nor .*; did you mean 'content'"):
        labels_of(settings(path, group="contnt"))
