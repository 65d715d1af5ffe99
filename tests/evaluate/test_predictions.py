"""Files of predictions: written whole, read from any model, joined without losing a name."""

from pathlib import Path

import pytest

from evaluate.errors import NothingToCompare, PredictionFileError
from evaluate.results.predictions import PredictedVideo, join_predictions, read_predictions, write_predictions
from store.labels.files import Label

ROWS = [
    PredictedVideo(
        "a/one", 50.5, 48.123456789, 7.5, 48.0, "fair", "good", 'The "score", is 48', {"distortion": "blur"}
    ),
    PredictedVideo("a/two", 20.0, 30.0, 8.0, None, "poor", None, "I cannot say", {"content": "park"}),
    PredictedVideo("three", score=1.0),
]


def csv_file(folder: Path, text: str) -> Path:
    path = folder / "predictions.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", ROWS)
    assert read_predictions(tmp_path / "p.csv") == ROWS
    header = (tmp_path / "p.csv").read_text().splitlines()[0]
    assert header == "video,mos,score,std,score_generate,level,level_pred,text,distortion,content"
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


def test_another_models_columns_are_read_by_name(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "name, technical, aesthetic\nx.mp4, 0.25, 0.75\n")
    (row,) = read_predictions(path, "aesthetic")
    assert (row.video, row.score, row.extra) == ("x.mp4", 0.75, {"technical": "0.25"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("video,quality\na,1\n", "it has: video, quality. .*--score-column"),
        ("clip,score\na,1\n", "it has: clip, score. .*--predicted-video-column"),
        ("video,score\na,high\n", "line 2: score is 'high'"),
        ("video,score\na,1\na,2\n", "line 3: a second prediction of a"),
        ("video,score\n,1\n", "names no video"),
        ("video,score\na,1,2\n", "line 2: 3 columns, expected 2"),
        ("", "empty"),
    ],
)
def test_unusable_files_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PredictionFileError, match=said):
        read_predictions(csv_file(tmp_path, text))


def test_absent_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionFileError, match="does not exist"):
        read_predictions(tmp_path / "absent.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\x00\x01\xff")
    with pytest.raises(PredictionFileError, match="UTF-8"):
        read_predictions(tmp_path / "bytes.csv")


def test_videos_join_by_id_and_those_left_out_are_named() -> None:
    labels = [Label("one", 3.0), Label("two", 2.0), Label("four", 1.0)]
    rows = [PredictedVideo("x/one.mp4", score=5.0), PredictedVideo("two"), PredictedVideo("five", score=1.0)]
    joined = join_predictions(rows, labels)
    assert [(label.video, row.score) for label, row in joined.pairs] == [("one", 5.0)]
    assert (joined.missing, joined.unlabelled) == (["two", "four"], ["five"])


def test_predictions_of_other_videos_are_refused_with_examples() -> None:
    with pytest.raises(NothingToCompare, match=r"none of 1 predictions \(b\).* 1 labels \(a\)"):
        join_predictions([PredictedVideo("b", score=1.0)], [Label("a", 1.0)])


@pytest.mark.parametrize(
    "text",
    [
        "Video;Score\nx.mp4;0,25\n",
        "Video\tScore\nx.mp4\t0.25\n",
        "sep=;\nvideo;SCORE;\nx.mp4;0.25;\n",
        "x.mp4 0.25\n",
        "x.mp4,12,0.25\n",
    ],
)
def test_tables_are_read_as_spreadsheets_and_programs_write_them(tmp_path: Path, text: str) -> None:
    (row,) = read_predictions(csv_file(tmp_path, text))
    assert (row.video, row.score) == ("x.mp4", 0.25)


def test_column_of_videos_can_be_named(tmp_path: Path) -> None:
    (row,) = read_predictions(csv_file(tmp_path, "clip,score\nx.mp4,1\n"), video_column="clip")
    assert (row.video, row.extra) == ("x.mp4", {})


def test_scores_beside_opinion_scores_need_no_names(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "MOS,y_pred\n3,0.25\n4,0.5\n")
    rows = read_predictions(path, "y_pred")
    assert [(row.video, row.mos, row.score) for row in rows] == [("line 2", 3, 0.25), ("line 3", 4, 0.5)]


def test_names_of_any_bytes_are_written_and_read_back(tmp_path: Path) -> None:
    rows = [PredictedVideo("\udcb2\udce2.mp4", score=1.0), PredictedVideo("a\nb.mp4", score=2.0)]
    write_predictions(tmp_path / "p.csv", rows)
    assert read_predictions(tmp_path / "p.csv") == rows
