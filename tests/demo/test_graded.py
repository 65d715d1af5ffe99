"""Graded copies of painted clips: every step down a ladder is labelled as worse, and is."""

import csv
from pathlib import Path

import numpy as np
import pytest

from demo.graded import SIZES, STEP_COSTS, UNDEGRADED, make_graded
from demo.similarity import ssim
from distort.degrade import KINDS, STEPS
from distort.footage import read_footage

SMALL = ((96, 64),)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graded")
    return make_graded(folder, contents=2, seed=1, workers=1, progress=False, sizes=SMALL)


@pytest.mark.slow
def test_each_content_goes_down_each_ladder(labels: Path) -> None:
    with labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (1 + len(KINDS) * STEPS)
    assert {row["video"] for row in rows} == {path.name for path in (labels.parent / "videos").iterdir()}
    for row in rows:
        expected = UNDEGRADED - STEP_COSTS[row["kind"]] * int(row["step"])
        assert float(row["mos"]) == expected and 0 < expected < 100


def test_copies_are_less_like_the_clip_by_each_step(labels: Path) -> None:
    def luma(name: str) -> list[np.ndarray]:
        frames = read_footage(labels.parent / "videos" / name, 9.0, 64).frames
        return [frame.to_ndarray(format="yuv420p")[:64] for frame in frames[::7]]

    clip = luma("0000-crf-0.mp4")
    for kind in ("crf", "blur", "noise"):
        alike = [
            np.mean(
                [ssim(one, other) for one, other in zip(clip, luma(f"0000-{kind}-{step}.mp4"), strict=True)]
            )
            for step in range(1, STEPS + 1)
        ]
        assert alike == sorted(alike, reverse=True), kind


@pytest.mark.slow
def test_it_is_the_same_for_two_workers_and_kept_where_it_is(labels: Path, tmp_path: Path) -> None:
    other = make_graded(tmp_path / "other", contents=2, seed=1, workers=2, progress=False, sizes=SMALL)
    for path in sorted((labels.parent / "videos").iterdir()):
        assert path.read_bytes() == (other.parent / "videos" / path.name).read_bytes()
    assert labels.read_bytes() == other.read_bytes()
    before = labels.stat().st_mtime_ns
    make_graded(labels.parent, contents=2, seed=1, workers=1, progress=False, sizes=SMALL)
    assert labels.stat().st_mtime_ns == before
    assert all(side % 16 == 0 for size in SIZES for side in size)
