"""The generated dataset: labels that fall with severity, contents kept together, the same every time."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from demo.clips import make_dataset
from demo.dataset import DatasetFolderTaken
from demo.similarity import opinion, ssim
from extract.video.decode import decode

SMALL = ((96, 80),)


def make(folder: Path, contents: int = 4, seed: int = 3, workers: int = 1) -> Path:
    return make_dataset(
        folder, contents=contents, seed=seed, workers=workers, progress=False, seconds=0.7, sizes=SMALL
    )


def rows_of(labels: Path) -> list[dict[str, str]]:
    with labels.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("generated"))


@pytest.mark.slow
def test_every_labelled_video_is_whole(labels: Path) -> None:
    rows = rows_of(labels)
    assert len(rows) == 28
    assert {row["video"] for row in rows} == {path.name for path in (labels.parent / "videos").iterdir()}
    decoding = decode(labels.parent / "videos" / rows[0]["video"], {})
    list(decoding)
    assert (decoding.info.width, decoding.info.height, decoding.info.warnings) == (96, 80, ())


def test_pristine_videos_have_the_best_label_of_their_content(labels: Path) -> None:
    rows = rows_of(labels)
    best = {r["content"]: float(r["mos"]) for r in rows if r["distortion"] == "pristine"}
    assert min(best.values()) > 80
    assert all(float(row["mos"]) <= best[row["content"]] + 1 for row in rows)
    assert min(float(row["mos"]) for row in rows) > 0


def test_harder_compression_has_the_lower_label(labels: Path) -> None:
    for content in {row["content"] for row in rows_of(labels)}:
        coded = [r for r in rows_of(labels) if r["content"] == content and r["distortion"] == "crf"]
        coded.sort(key=lambda row: float(row["severity"]))
        scores = [float(row["mos"]) for row in coded]
        assert scores == sorted(scores, reverse=True)


def test_splits_share_no_content(labels: Path) -> None:
    pairs = {(row["content"], row["split"]) for row in rows_of(labels)}
    assert len(pairs) == len({content for content, _ in pairs})
    assert {split for _, split in pairs} == {"train", "val", "test"}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_dataset_with_any_number_of_workers(
    labels: Path, tmp_path: Path
) -> None:
    again = make(tmp_path / "again", workers=2)
    assert again.read_text() == labels.read_text()
    for row in rows_of(labels):
        one, other = (path.parent / "videos" / row["video"] for path in (labels, again))
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_another_seed_gives_other_labels(labels: Path, tmp_path: Path) -> None:
    assert make(tmp_path, seed=4, contents=3).read_text() != labels.read_text()


def test_a_complete_dataset_is_kept_and_said_so(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = labels.stat().st_mtime_ns
    again = make_dataset(labels.parent, contents=4, seed=3, workers=1, seconds=0.7, sizes=SMALL)
    assert again.stat().st_mtime_ns == before
    assert "reused" in capsys.readouterr().out


@pytest.mark.slow
def test_an_incomplete_dataset_is_made_anew(labels: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(labels.parent, folder)
    missing = next((folder / "videos").iterdir())
    missing.unlink()
    assert make(folder).read_text() == labels.read_text()
    assert missing.is_file()


def test_a_folder_of_other_videos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "holiday.mp4").write_bytes(b"")
    with pytest.raises(DatasetFolderTaken, match=r"no dataset\.json"):
        make(tmp_path)
    assert (tmp_path / "videos" / "holiday.mp4").is_file()


def test_similarity_falls_with_noise_and_the_score_with_both() -> None:
    random = np.random.default_rng(0)
    plane = random.integers(60, 180, (40, 40)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    noise = random.standard_normal(plane.shape)
    values = [ssim(plane, (plane + sigma * noise).clip(0, 255).astype(np.uint8)) for sigma in (0, 5, 15, 40)]
    assert values[0] == pytest.approx(1.0, abs=1e-5)
    assert values == sorted(values, reverse=True)
    scores = [opinion([value], 0.0) for value in values]
    assert scores == sorted(scores, reverse=True)
    assert opinion([0.9], 0.5) < opinion([0.9], 0.1) < opinion([0.9], 0.0)
