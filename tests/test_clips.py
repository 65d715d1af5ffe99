"""The generated dataset: real files, labels that fall with severity, contents kept together."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from demo.camera import film
from demo.clips import content_splits, make_dataset
from demo.labelling import luma, quality, ssim
from demo.scenes import SCENES, paint_scene
from extract.decode import decode

CONTENTS = 2


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("dataset"), contents=CONTENTS, seed=7, workers=1, lines=128)


def rows_of(labels: Path) -> list[dict[str, str]]:
    with labels.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_label_has_its_video_and_every_video_its_label(labels: Path) -> None:
    videos = {path.stem for path in (labels.parent / "videos").iterdir()}
    assert {row["video"] for row in rows_of(labels)} == videos
    assert len(videos) == 8 * CONTENTS


def test_videos_decode_without_a_warning(labels: Path) -> None:
    row = rows_of(labels)[0]
    decoding = decode(labels.parent / "videos" / f"{row['video']}.mp4", {})
    list(decoding)
    info = decoding.info
    assert (info.width, info.height) == (int(row["width"]), int(row["height"]))
    assert info.fps == pytest.approx(int(row["fps"]))
    assert (info.chunks, info.codec, info.warnings) == (2, "h264", ())


def test_pristine_copy_is_labelled_best_and_heavier_distortion_worse(labels: Path) -> None:
    for content in {row["content"] for row in rows_of(labels)}:
        rows = [row for row in rows_of(labels) if row["content"] == content]
        scores = {
            kind: [float(r["mos"]) for r in rows if r["distortion"] == kind] for kind in ("crf", "blur")
        }
        best = float(rows[0]["mos"])
        assert rows[0]["distortion"] == "pristine"
        assert best == max(float(row["mos"]) for row in rows)
        assert all(light > heavy for light, heavy in scores.values())


def test_contents_stay_within_one_split() -> None:
    splits = content_splits(20, seed=1)
    assert {split: splits.count(split) for split in set(splits)} == {"train": 14, "val": 2, "test": 4}


def test_finished_dataset_is_reused_and_an_interrupted_one_made_anew(labels: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    shutil.copytree(labels.parent, folder)
    video = next((folder / "videos").iterdir())
    times = {path: path.stat().st_mtime_ns for path in (folder / "videos").iterdir()}
    before = labels.read_bytes(), video.read_bytes()
    make_dataset(folder, contents=CONTENTS, seed=7, workers=1, lines=128)
    assert {path: path.stat().st_mtime_ns for path in (folder / "videos").iterdir()} == times
    (folder / "complete.json").unlink()
    video.write_bytes(b"half")
    make_dataset(folder, contents=CONTENTS, seed=7, workers=1, lines=128)
    assert ((folder / "labels.csv").read_bytes(), video.read_bytes()) == before


def test_filmed_clip_moves_and_fills_its_frame() -> None:
    take = film(np.random.default_rng(4), (64, 48), seconds=0.5)
    first, last = luma(take.frames[0]), luma(take.frames[-1])
    assert first.shape == (48, 64)
    assert len(take.frames) == len(take.times) == round(0.5 * take.fps)
    assert first.std() > 3
    assert np.abs(first.astype(int) - last).mean() > 0.3


@pytest.mark.parametrize("kind", SCENES)
def test_scenes_have_the_falling_spectra_of_natural_pictures(kind: str) -> None:
    canvas = paint_scene(np.random.default_rng(0), kind, 128, 160, detail=2.0)
    power = np.abs(np.fft.rfft2(canvas.planes[0] * np.outer(np.hanning(128), np.hanning(160)))) ** 2
    low, middle, high = power[1:6, 1:6].mean(), power[12:20, 12:20].mean(), power[40:60, 40:60].mean()
    assert low > 5 * middle > 5 * high


def test_quality_falls_with_ssim_and_with_freezes() -> None:
    assert quality(1.0, 0.0) == 100
    scores = [quality(similarity, 0.0) for similarity in (0.99, 0.95, 0.8, 0.5)]
    assert scores == sorted(scores, reverse=True)
    frozen = [quality(0.97, share) for share in (0, 0.1, 0.4, 0.8)]
    assert frozen == sorted(set(frozen), reverse=True)


def test_ssim_of_a_picture_with_itself_is_one() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)
    assert ssim(picture, picture) == pytest.approx(1)
    assert ssim(picture, 255 - picture) < 0
