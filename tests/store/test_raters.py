"""Tables with the scores of each rater: mean, spread and number, and nothing averaged unsaid."""

import json
import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from config.schema import DatasetSettings
from store.labels.columns import Columns
from store.labels.dataset import grouped_labels, labels_of
from store.labels.errors import DuplicateLabelError, LabelLayoutError, LabelValueError, MosRangeError
from store.labels.files import Label
from store.labels.merging import read_labels

LONG = "video,rater,score\na.mp4,1,2\na.mp4,2,4\na.MP4,3,3\nb.mp4,1,5\nb.mp4,2,NA\n"
WIDE = "video,s1,s2,s3\na.mp4,2,4,3\nb.mp4,5,,NaN\n"
EXPECTED = [Label("a", 3, std=1, raters=3), Label("b", 5, std=None, raters=1)]


def csv_file(folder: Path, text: str) -> Path:
    path = folder / "ratings.csv"
    path.write_text(text, encoding="utf-8")
    return path


def settings(labels: Path, **changes: object) -> DatasetSettings:
    known = {"name": "own", "videos": Path("videos"), "mos_range": (1, 5), "source": "https://example.org"}
    return DatasetSettings.model_validate(known | {"labels": labels} | changes)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (LONG, Columns()),
        ("\ufeff" + LONG.replace("rater", "Subject ID").replace("score", "Rating"), Columns()),
        (LONG.replace("rater", "who").replace("score", "quality"), Columns(mos="quality", rater="who")),
        (WIDE, Columns(scores=("s*",))),
        (WIDE, Columns(scores=("s1", "S2", "s3"))),
        (WIDE.replace("s1", "Rater 1").replace("s2", "rater_2").replace("s3", "RATER3"), Columns()),
    ],
)
def test_mean_spread_and_number_of_raters(
    tmp_path: Path, text: str, columns: Columns, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert read_labels(csv_file(tmp_path, text), columns) == EXPECTED
    missing = "2 of 6" if columns.scores or "RATER3" in text else "1 of 5"
    for said in (
        f"ratings.csv: {missing} scores are missing",
        "ratings.csv: 4 opinions of 3 raters, 1 to 3 a video: their mean is the opinion score",
        "1 video with one rater, so without spread: b",
    ):
        assert said in caplog.text


def test_ratings_in_json_are_read(tmp_path: Path) -> None:
    rows = [{"video": "a", "rater": rater, "score": score} for rater, score in (("x", 2), ("y", 4.5))]
    path = tmp_path / "ratings.json"
    path.write_text(json.dumps(rows))
    (label,) = read_labels(path)
    assert (label.mos, label.raters) == (3.25, 2)
    assert label.std == pytest.approx(1.25 * 2**0.5)


def test_what_raters_share_is_kept_and_what_differs_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = (
        "video,rater,score,content,seconds,split\na,1,2,park,7,test\na,2,4,park,9,test\nb,1,3,sea,5,train\n"
    )
    with caplog.at_level(logging.INFO):
        labels = grouped_labels(settings(csv_file(tmp_path, text), group="content"))
    assert [(label.mos, label.group, label.split) for label in labels] == [
        (3, "park", "test"),
        (3, "sea", "train"),
    ]
    assert "left out, as they differ by rater: seconds" in caplog.text
    assert labels[0].extra == {"content": "park"}


def test_a_rater_column_where_no_video_repeats_is_a_further_column(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "video,rater,score\na,1,2\nb,1,4\n")
    assert read_labels(path) == [Label("a", 2, extra={"rater": "1"}), Label("b", 4, extra={"rater": "1"})]
    assert read_labels(path, Columns(rater="rater")) == [Label("a", 2, raters=1), Label("b", 4, raters=1)]
    wide = csv_file(tmp_path, "video,s1\na,2\n")
    assert read_labels(wide, Columns(scores=("s1",))) == [Label("a", 2, raters=1)]


def test_a_rating_is_preferred_to_a_mean_that_stands_beside_it(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "video,mos,rater,score\na,3,1,2\na,3,2,4\n")
    (label,) = read_labels(path)
    assert (label.mos, label.extra) == (3, {"mos": "3"})
    assert label.std == pytest.approx(2**0.5)


def test_columns_named_like_raters_beside_a_mean_are_further_columns(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "video,mos,rater1,rater2\na,3,2,4\n")
    assert read_labels(path) == [Label("a", 3, extra={"rater1": "2", "rater2": "4"})]


@pytest.mark.parametrize(
    ("text", "columns", "error", "said"),
    [
        ("video,score\na,2\na,4\n", Columns(), DuplicateLabelError, r"ratings\.csv labels a twice: MOS 2"),
        (LONG + "a.mp4,1,4\n", Columns(), DuplicateLabelError, r"a twice: MOS 2 .*rater 1\) and 4 .*rater 1"),
        (
            LONG + "a.mp4,,4\n",
            Columns(),
            LabelValueError,
            r"line 7: the score of a\.mp4: expected .* who gave",
        ),
        (
            LONG + "a.mp4,4,x\n",
            Columns(),
            LabelValueError,
            r"line 7: the score of a\.mp4 by 4 is 'x', expected",
        ),
        (LONG, Columns(rater="ratr"), LabelLayoutError, r"no column 'ratr'; did you mean 'rater'"),
        (WIDE, Columns(scores=("s*", "z*")), LabelLayoutError, r"no column 'z\*', as score_columns .*s1, s2"),
        (
            WIDE + "c,x,2,3\n",
            Columns(scores=("s*",)),
            LabelValueError,
            r"line 4: the score of c by s1 is 'x'",
        ),
        (
            WIDE + "a,1,2,3\n",
            Columns(scores=("s*",)),
            DuplicateLabelError,
            r"a twice: MOS 2 .*rater s1\) and 1",
        ),
        (
            "video,rater,score,split\na,1,2,train\na,2,2,test\n",
            Columns(),
            DuplicateLabelError,
            r"a twice: MOS 2 \(split train, rater 1\) and 2 \(split test, rater 2\)",
        ),
    ],
)
def test_ratings_that_cannot_be_averaged_are_refused(
    tmp_path: Path, text: str, columns: Columns, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        read_labels(csv_file(tmp_path, text), columns)


def test_a_row_that_is_there_twice_counts_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = read_labels(csv_file(tmp_path, LONG + "a.mp4,1,2\n"))
    assert labels == EXPECTED
    assert "1 repeated rows read once: a" in caplog.text


def test_single_opinions_must_lie_in_the_range_too(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "video,rater,score\na,1,5\na,2,-1\na,3,4\n")
    with pytest.raises(MosRangeError, match=r"1 of 3 scores lie outside mos_range 1–5: a \(-1\).*not_rated"):
        labels_of(settings(path))
    (label,) = labels_of(settings(path, not_rated=[-1]))
    assert (label.mos, label.raters) == (4.5, 2)


def test_minus_one_is_warned_of_where_no_range_is_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_labels(csv_file(tmp_path, "video,rater,score\na,1,5\na,2,-1\na,3,4\n"))
    assert "ratings.csv has scores of -1" in caplog.text
    caplog.clear()
    read_labels(csv_file(tmp_path, "video,rater,score\na,1,1\na,2,-1\na,3,-0.5\n"))
    assert not caplog.text


def test_videos_that_nobody_rated_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = read_labels(csv_file(tmp_path, WIDE + "c.mp4,NA,,\n"), Columns(scores=("s*",)))
    assert labels == EXPECTED
    assert "1 rows without a score skipped: c.mp4" in caplog.text


def test_an_index_of_rows_is_no_name_of_a_video(tmp_path: Path) -> None:
    text = ",Subject1,Subject2\n{},7,30\n{},3,5\n"
    assert [label.video for label in read_labels(csv_file(tmp_path, text.format("run", "sea")))] == [
        "run",
        "sea",
    ]
    with pytest.raises(LabelLayoutError, match="has none of the columns video"):
        read_labels(csv_file(tmp_path, text.format(0, 1)))


def test_rating_columns_exclude_other_settings() -> None:
    with pytest.raises(ValidationError, match="score_columns has one for each rater"):
        settings(Path("a.csv"), score_columns=["s*"], rater_column="who")


@pytest.mark.slow
def test_the_real_ratings_of_live_yt_hfr_agree_with_its_published_scores(
    shared_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from scipy.stats import spearmanr

    folder = shared_data / "labels/LIVE-YT-HFR"
    with pytest.raises(MosRangeError, match=r"19058 of 40800 scores .*not_rated"):
        labels_of(settings(folder / "subject_raw.csv", mos_range=(0, 40)))
    caplog.clear()
    with caplog.at_level(logging.INFO):
        rated = labels_of(settings(folder / "subject_raw.csv", mos_range=(0, 40), not_rated=[-1]))
    assert "21,742 opinions of 85 raters, 42 to 85 a video" in caplog.text
    assert len(rated) == 480 and sum(label.raters or 0 for label in rated) == 21742
    first = rated[0]
    assert (first.video, first.raters) == ("1Runner_crf_0_24fps", 85)
    published = {label.video: label for label in read_labels(folder / "subject_MOS.csv")}
    assert published.keys() == {label.video for label in rated}
    assert published["1Runner_crf_0_24fps"].std == pytest.approx(12.574, abs=0.001)
    theirs = [published[label.video].mos for label in rated]
    # Published after z-scores and the rejection of some raters.
    assert spearmanr([label.mos for label in rated], theirs).statistic > 0.99
