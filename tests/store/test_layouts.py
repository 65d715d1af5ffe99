"""Label files as other projects publish them: annotations, conversations, a column for each video."""

import json
import logging
from pathlib import Path

import pytest

from store.labels.errors import DuplicateLabelError, LabelLayoutError, LabelValueError
from store.labels.files import Label
from store.labels.merging import read_labels
from store.labels.resolve import resolve

ANNOTATIONS = {
    "KoNViD-1K/KoNViD_1k_videos/Konvid-1k_ds.json": ("KoNViD-1k/KONVID_1K_metadata.csv", 1200, 20),
    "LIVE-VQC/LIVE-VQC_videos/LIVE-VQC_ds.json": ("LIVE-VQC/LIVE_VQC_metadata.csv", 585, 1),
    "youtube_ugc/youtube_ugc_videos/youtube_ugc_ds.json": ("YouTube-UGC/YOUTUBE_UGC_metadata.csv", 1142, 20),
    "LIVE-YT-Gaming/LIVE-YT-Gaming_videos/LIVE-YT-Gaming_ds.json": (
        "LIVE-YT-Gaming/LIVEYTGaming.mat",
        600,
        1,
    ),
    "LSVQ/LSVQ_videos/a_split_metadata/LSVQ_whole_test_ds_score.json": ("LSVQ/LSVQ_whole_test.csv", 7220, 1),
}


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("file", ANNOTATIONS)
def test_lmm_vqas_annotations_are_the_published_scores(
    shared_data: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    published, count, factor = ANNOTATIONS[file]
    labels = {label.video: label for label in read_labels(shared_data / "labels/LMM-VQA" / file)}
    known = {label.video: label.mos for label in read_labels(shared_data / "labels" / published)}
    found = resolve(labels, known).found
    assert len(labels) == len(found) == count
    assert [label.mos for label in labels.values()] == pytest.approx(
        [known[found[video]] * factor for video in labels], abs=0.002 * factor
    )
    levels = {label.extra.get("class") for label in labels.values()}
    assert levels == ({None} if "score" in file else {"good", "fair", "poor"})
    assert not caplog.text


def test_annotations_of_levels_alone_are_refused(shared_data: Path) -> None:
    folder = shared_data / "labels/LMM-VQA/LSVQ/LSVQ_videos/a_split_metadata"
    with pytest.raises(LabelLayoutError, match=r"test_ds_class\.json has none .*it has: image_id, .*class"):
        read_labels(folder / "LSVQ_whole_test_ds_class.json")


def annotations(*scores: object) -> dict[str, object]:
    own = [{"image_id": "v/1.mp4", "ann_type": "score", "score": score} for score in scores]
    return {"annotations": [*own, {"image_id": "v/1.mp4", "ann_type": "class", "class": "fair"}]}


def test_a_level_joins_the_score_of_its_video(tmp_path: Path) -> None:
    path = written(tmp_path / "ds.json", "\ufeff" + json.dumps(annotations("61.250")))
    assert read_labels(path) == [Label("v/1", 61.25, extra={"ann_type": "score", "class": "fair"})]


@pytest.mark.parametrize(
    ("scores", "error", "said"),
    [
        (("61.250", "61.500"), DuplicateLabelError, r"ds\.json labels v/1 twice: MOS 61\.25 .* and 61\.5"),
        (
            ("good",),
            LabelValueError,
            r"ds\.json, entry 1: the score of v/1\.mp4 is 'good', expected a finite",
        ),
        (("",), LabelLayoutError, r"ds\.json holds no label with a score in 2 rows"),
        ((float("nan"),), LabelLayoutError, r"ds\.json holds no label with a score in 2 rows"),
    ],
)
def test_annotations_without_one_score_a_video_are_refused(
    tmp_path: Path, scores: tuple[object, ...], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        read_labels(written(tmp_path / "ds.json", annotations(*scores)))


def test_real_conversations_give_the_scores_of_their_answers(shared_data: Path) -> None:
    folder = shared_data / "conversations"
    stated = {label.video: label.mos for label in read_labels(next((folder / "vital").glob("*.jsonl")))}
    known = {label.video: label.mos for label in read_labels(shared_data / "labels/LSVQ/train_labels.txt")}
    found = resolve(stated, known).found
    assert len(stated) == 2805 and len(found) > 0.98 * len(stated)
    assert [stated[v] for v in found] == pytest.approx([known[n] / 20 for n in found.values()], abs=0.005)


def test_real_conversations_with_a_score_beside_them_give_that(shared_data: Path) -> None:
    folder = shared_data / "conversations"
    known = {label.video: label.mos for label in read_labels(shared_data / "labels/LIVE-VQC/labels.txt")}
    labels = read_labels(folder / "finevq/livevqc_train_mos1.jsonl")
    assert len(labels) == 468
    assert [label.mos for label in labels] == pytest.approx(
        [known[label.video] for label in labels], abs=0.01
    )
    images = read_labels(folder / "q-align/train_koniq.json")
    assert len(images) == 7046
    assert (images[0].video, images[0].mos) == ("koniq/10004473376", 77.3836206897)
    with pytest.raises(LabelLayoutError, match=r"abcd_train_en\.jsonl holds no label with a score in 2573"):
        read_labels(folder / "finevq/abcd_train_en.jsonl")


def conversation(answer: object, **fields: object) -> dict[str, object]:
    turns = [{"from": "human", "value": "<image> Rate it from 1 to 5."}, {"from": "gpt", "value": answer}]
    return {"video": "v/1.mp4", "conversations": turns, **fields}


@pytest.mark.parametrize(
    ("entry", "mos"),
    [
        (conversation("The quality score is 63."), 63),
        (conversation("The score of this 1080p clip is 3,25"), 3.25),
        (conversation(4), 4),
        (conversation(1e-05), 1e-05),
        (conversation("fair", mos=2.5), 2.5),
        (conversation("fair", gt_score=2.5), 2.5),
        (conversation("fair", id="v/1.mp4->2.5"), 2.5),
        (conversation("about 3 of 5", mos=2.5), 2.5),
        (conversation(3, video=["\ufeffv/1.mp4"]), 3),
        (conversation(3, video=None, image="v/1.mp4"), 3),
    ],
)
def test_an_answer_or_a_field_is_the_score(tmp_path: Path, entry: dict[str, object], mos: float) -> None:
    entry = {key: value for key, value in entry.items() if value is not None}
    for name, text in (("c.json", json.dumps([entry])), ("c.jsonl", f"\ufeff{json.dumps(entry)}\n\n")):
        (label,) = read_labels(written(tmp_path / name, text))
        assert (label.video, label.mos) == ("v/1", mos)
        assert "conversations" not in label.extra


@pytest.mark.parametrize(
    ("entry", "error", "said"),
    [
        (
            conversation("3.5 of 5"),
            LabelValueError,
            r"c\.json, entry 2: the score of v/1\.mp4 is '3\.5 and 5'",
        ),
        (
            conversation(3, video=["a", "b"]),
            LabelLayoutError,
            r"c\.json, entry 2 names 2 videos, expected one",
        ),
        (conversation(3, video=[]), LabelLayoutError, r"c\.json, entry 2 names 0 videos, expected one"),
    ],
)
def test_answers_that_are_no_score_of_one_video_are_refused(
    tmp_path: Path, entry: object, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        read_labels(written(tmp_path / "c.json", [conversation(3, video="b"), entry]))


@pytest.mark.parametrize("answer", ["", None, "fair", float("nan"), "a 4.5K clip"])
def test_answers_without_a_number_are_skipped_and_named(
    tmp_path: Path, answer: object, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "c.json", [conversation(3, video="b"), conversation(answer)])
    assert [label.video for label in read_labels(path)] == ["b"]
    assert "1 rows without a score skipped: v/1.mp4" in caplog.text


def test_a_level_question_beside_the_score_question_is_no_missing_score(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "c.json", [conversation("It is fair."), conversation("It is 47.5.")])
    assert [label.mos for label in read_labels(path)] == [47.5]
    assert not caplog.text


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "c.jsonl", '{"video": "a", "mos": 3}\n{"video": "b",\n')
    with pytest.raises(LabelLayoutError, match=r"c\.jsonl, line 2 cannot be read as JSON"):
        read_labels(path)


def test_a_table_with_a_column_for_each_video_is_turned(tmp_path: Path) -> None:
    path = written(tmp_path / "labels.csv", "File Names,a.mp4,b.mp4\nMOS,50,60\nstd,5,\n")
    assert read_labels(path) == [Label("a", 50, std=5), Label("b", 60)]
    with pytest.raises(LabelValueError, match=r"labels\.csv, column 3: the score of b\.mp4 is 'good'"):
        read_labels(written(path, "File Names,a.mp4,b.mp4\nMOS,50,good\n"))


def test_the_log_says_nothing_at_its_usual_level_of_ordinary_files(
    shared_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        read_labels(shared_data / "labels/KoNViD-1k/KONVID_1K_metadata.csv")
    assert not caplog.text
