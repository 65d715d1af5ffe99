"""Label files as spreadsheets and programs export them."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from openpyxl import Workbook
from scipy.io import savemat

from store.labels.columns import Columns
from store.labels.errors import LabelLayoutError, LabelValueError
from store.labels.files import Label
from store.labels.merging import read_labels

EXPECTED = [Label("a/one", 3.5, "train", {"content": "park, late"}), Label("a/two", 4.0, "test")]


def written(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


COMMA = 'Video,MOS,Split,content\n"a/one.MP4",3.5,training,"park, late"\n\na/two.mkv,4,test,NA\n'
SEMICOLON = "video;mos;split;content\na/one.mp4;3,5;train;park, late\na/two.mp4;4,0;test;n/a\n"


@pytest.mark.parametrize(
    "data",
    [
        COMMA,
        COMMA.replace("\n", "\r\n"),
        "\ufeff" + COMMA,
        COMMA.encode("utf-16"),
        SEMICOLON,
        "sep=;\n" + SEMICOLON,
        SEMICOLON.replace(";", "\t"),
        SEMICOLON.replace("\n", ";\n"),
        ("\ufeffsep=\t\r\n" + SEMICOLON.replace(";", "\t")).encode("utf-16-le"),
    ],
)
def test_delimiters_encodings_decimal_commas_and_missing_values(tmp_path: Path, data: str | bytes) -> None:
    assert read_labels(written(tmp_path / "labels.csv", data)) == EXPECTED


def test_a_workbooks_first_sheet_is_read_and_its_numbers_stay_ids(tmp_path: Path) -> None:
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    for row in (("flickr_id", "MOS", "content"), (8440795977, 2.28, 7), (None,), (12.0, 3, None)):
        sheet.append(row)
    workbook.save(tmp_path / "labels.xlsx")
    assert read_labels(tmp_path / "labels.xlsx") == [
        Label("8440795977", 2.28, extra={"content": "7"}),
        Label("12", 3.0),
    ]
    with pytest.raises(LabelLayoutError, match=r"Excel workbook \(.xlsx\)"):
        read_labels(written(tmp_path / "broken.xlsx", "video,mos\na,1\n"))


@pytest.mark.parametrize(
    "content",
    [
        [{"video": "a.mp4", "mos": 3.5, "level": 4}, {"video": "b.mp4", "mos": None}],
        {
            "annotations": [
                {"image_id": "a", "score": "3.5", "level": "4"},
                {"image_id": "a", "score": ""},
            ]
        },
    ],
)
def test_lists_of_objects_in_json_are_read(tmp_path: Path, content: object) -> None:
    labels = read_labels(written(tmp_path / "labels.json", json.dumps(content)))
    assert labels == [Label("a", 3.5, extra={"level": "4"})]
    with pytest.raises(LabelLayoutError, match="expected a list of objects"):
        read_labels(written(tmp_path / "labels.json", "[1, 2]"))


def test_matlab_variables_as_long_as_the_names_are_columns(tmp_path: Path) -> None:
    names = np.array([["a.mp4"], ["b.mp4"]], dtype=object)
    data = {"clips": names, "MOS": [[1.5, 2.0]], "content": [3.0, 4.0], "index": np.eye(3)}
    savemat(tmp_path / "labels.mat", data)
    assert read_labels(tmp_path / "labels.mat", Columns(video="clips")) == [
        Label("a", 1.5, extra={"content": "3"}),
        Label("b", 2.0, extra={"content": "4"}),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [np.void, object])
def test_matlab_structures_are_no_reason_to_hang(tmp_path: Path, kind: type) -> None:
    fields = np.zeros((2, 1), dtype=[("device", object), ("take", object)])
    fields["device"], fields["take"] = "phone", 2.0
    names = np.array([["a.mp4"], ["b.mp4"]], dtype=object)
    info = fields if kind is np.void else np.array([[row] for row in fields], dtype=object)
    savemat(tmp_path / "labels.mat", {"clips": names, "MOS": [[1.5, 2.0]], "info": info})
    labels = read_labels(tmp_path / "labels.mat", Columns(video="clips"))
    assert [(label.video, label.mos) for label in labels] == [("a", 1.5), ("b", 2.0)]
    assert "phone" in labels[0].extra["info"]


def test_a_matlab_file_that_crashes_its_reader_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "labels.mat", {"MOS": np.ones((3, 4))})
    data = bytearray((tmp_path / "labels.mat").read_bytes())
    data[176] = 133  # the type of the numbers: one that does not exist
    with pytest.raises(LabelLayoutError, match=r"labels\.mat cannot be read as a MATLAB file .*crashes"):
        read_labels(written(tmp_path / "labels.mat", bytes(data)))


@pytest.mark.parametrize(
    "row", ["a/b.mp4 3.5", "a/b.mp4,3.5", "a/b.mp4;3,5", "a/b.mp4, 8, 30, 3.5", "a/b.mp4 3,5", "a/b.mp4,3.5,"]
)
def test_rows_without_header_are_read(tmp_path: Path, row: str) -> None:
    assert read_labels(written(tmp_path / "list.txt", f"{row}\n")) == [Label("a/b", 3.5)]


@pytest.mark.parametrize("score", ["3_5", "1,234.5", "٣", "3.5 (good)", "0x1p3"])
def test_scores_that_are_no_plain_numbers_are_refused(tmp_path: Path, score: str) -> None:
    with pytest.raises(LabelValueError, match=r"line 2: the score of a\.mp4 is .*expected a finite number"):
        read_labels(written(tmp_path / "labels.csv", f"video\tmos\na.mp4\t{score}\n"))


@pytest.mark.parametrize("missing", ["", "NA", "N/A", "nan", "NaN", "null", "-"])
def test_rows_without_score_are_skipped(tmp_path: Path, missing: str) -> None:
    path = written(tmp_path / "labels.csv", f"video,mos\na,{missing}\nb,2\n")
    assert [label.video for label in read_labels(path)] == ["b"]


def test_ids_that_a_program_wrote_as_floats_are_ids_again(tmp_path: Path) -> None:
    path = written(tmp_path / "labels.csv", "flickr_id,mos,source\n8440795977.0,2.28,8440795977\n")
    assert read_labels(path) == [Label("8440795977", 2.28, extra={"source": "8440795977"})]


@pytest.mark.parametrize(
    ("column", "value", "std"),
    [("std", "0.5", 0.5), ("variance", "0.25", 0.5), ("CI95", "0.196", 0.5), ("std", "NA", None)],
)
def test_spread_and_raters_are_kept(tmp_path: Path, column: str, value: str, std: float | None) -> None:
    path = written(tmp_path / "labels.csv", f"video,mos,{column},raters\na,3,{value},25\n")
    (label,) = read_labels(path)
    assert (label.std, label.raters, label.extra) == (pytest.approx(std), 25, {})


@pytest.mark.parametrize("count", ["1,234", "1,000", "-1", "2.5"])
def test_what_is_no_number_of_people_is_left_out_or_refused(tmp_path: Path, count: str) -> None:
    path = written(tmp_path / "labels.csv", f"video;mos;ci;ratings\na;3;0.2;{count}\n")
    (label,) = read_labels(path)
    assert (label.std, label.raters) == (None, None)
    with pytest.raises(LabelValueError, match=r"line 2: ratings is .*expected a whole number"):
        read_labels(path, Columns(raters="ratings"))


def with_member(path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Rewrites one member of a zip file."""
    with ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    with ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, change(data) if member == name else data)


def small_workbook(path: Path) -> Path:
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    for row in (("video", "mos"), ("a", 1.5), ("b", 2.5)):
        sheet.append(row)
    workbook.save(path)
    return path


SHEET = "xl/worksheets/sheet1.xml"


def test_a_workbook_whose_dimensions_are_wrong_is_read_whole(tmp_path: Path) -> None:
    path = small_workbook(tmp_path / "labels.xlsx")
    with_member(path, SHEET, lambda data: data.replace(b'ref="A1:B3"', b'ref="A1:B2"'))
    assert read_labels(path) == [Label("a", 1.5), Label("b", 2.5)]


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    path = small_workbook(tmp_path / "labels.xlsx")
    with_member(path, SHEET, lambda data: data[: len(data) // 2])
    with pytest.raises(LabelLayoutError, match=r"labels\.xlsx cannot be read as an Excel workbook"):
        read_labels(path)
    savemat(tmp_path / "labels.mat", {"MOS": np.arange(1000.0)}, do_compression=True)
    whole = (tmp_path / "labels.mat").read_bytes()
    damaged = whole[:150] + bytes(50) + whole[200:]
    with pytest.raises(LabelLayoutError, match=r"labels\.mat cannot be read as a MATLAB file"):
        read_labels(written(tmp_path / "labels.mat", damaged))
    with pytest.raises(LabelLayoutError, match=r"labels\.json cannot be read as JSON"):
        read_labels(written(tmp_path / "labels.json", "[" * 200_000))


def test_published_spreads_are_read(shared_data: Path) -> None:
    label = read_labels(shared_data / "labels/YouTube-UGC/YOUTUBE_UGC_metadata.csv")[0]
    assert (label.std, label.raters) == (0.468, 125)


def test_every_column_can_be_named(tmp_path: Path) -> None:
    text = "mos,video,clip,quality,part,error,people\n1,x,y,2,test,0.5,9\n"
    columns = Columns("clip", "quality", "part", "error", "people")
    assert read_labels(written(tmp_path / "labels.csv", text), columns) == [
        Label("y", 2, "test", {"mos": "1", "video": "x"}, 0.5, 9)
    ]
    with pytest.raises(LabelLayoutError, match="no column 'peeple'; did you mean 'people'"):
        read_labels(tmp_path / "labels.csv", Columns("clip", raters="peeple"))
    with pytest.raises(LabelValueError, match="line 2: error is 'high'"):
        read_labels(
            written(tmp_path / "labels.csv", text.replace("0.5", "high")),
            Columns("clip", "quality", spread="error"),
        )


def test_names_of_any_bytes_are_kept_and_said_in_escapes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = b'video,mos\n\xb2\xe2.mp4,3\n"a\nb.mp4",\n'
    with caplog.at_level(logging.WARNING):
        (label,) = read_labels(written(tmp_path / "labels.csv", data))
    assert label.video == "%B2%E2"
    assert r"1 rows without a score skipped: a\nb.mp4" in caplog.text


@pytest.mark.parametrize("file", ["LIVE-VQC.json", "konvid1k.json", "YT-Gaming.json"])
def test_real_json_agrees_in_order_with_the_published_scores(shared_data: Path, file: str) -> None:
    from scipy.stats import spearmanr

    from store.labels.resolve import resolve

    of = {
        "LIVE-VQC.json": "LIVE-VQC/LIVE_VQC_data.mat",
        "konvid1k.json": "KoNViD-1k/labels.txt",
        "YT-Gaming.json": "LIVE-YT-Gaming/LIVEYTGaming.mat",
    }
    one = {label.video: label.mos for label in read_labels(shared_data / "labels/VITAL" / file)}
    other = {label.video: label.mos for label in read_labels(shared_data / "labels" / of[file])}
    found = resolve(one, other).found
    assert len(found) > 0.95 * len(one)
    assert spearmanr([one[v] for v in found], [other[name] for name in found.values()]).statistic > 0.99
