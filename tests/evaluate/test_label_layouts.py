"""Predictions judged against every label file that users of the datasets hold."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from evaluate.results.agreement import LabelSource, judge_columns
from store.labels.columns import Columns
from store.labels.merging import read_labels

SETS = {
    "KoNViD-1k": 3,
    "LIVE-VQC": 3,
    "LIVE-YT-Gaming": 1,
    "LIVE-YT-HFR": 2,
    "LMM-VQA": 27,
    "LSVQ": 5,
    "MaxWell": 1,
    "VITAL": 3,
    "YouTube-UGC": 3,
}
WITH_INTERVALS = ("YOUTUBE_UGC_metadata.csv", "subject_raw.csv")
"""Standard deviations of opinions, and how many people gave one."""


def label_files(folder: Path) -> list[Path]:
    """Files with opinion scores; LMM-VQA's of levels alone, and its prompts, have none."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.suffix in (".csv", ".txt", ".mat", ".json")
        and not path.stem.endswith("_class")
        and path.parent.name != "question_prompt"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("dataset", SETS)
def test_every_layout_is_judged_with_its_videos_counted(
    shared_data: Path, tmp_path: Path, dataset: str
) -> None:
    files = label_files(shared_data / "labels" / dataset)
    assert len(files) == SETS[dataset]
    for file in files:
        by_row = dataset == "MaxWell"
        names = tuple(f"{i:04}.mp4" for i in range(909)) if by_row else None
        labels = read_labels(file, Columns(names=names))
        mos = np.array([label.mos for label in labels])
        scores = mos + np.random.default_rng(0).normal(0, mos.std(), len(mos))
        rows = [(label.written or label.video, s) for label, s in zip(labels, scores, strict=True)]
        rows[0] = (rows[0][0], "") if by_row else ("not-there.mp4", 1.0)
        with (tmp_path / "predictions.csv").open("w", newline="") as out:
            csv.writer(out).writerows([("video", "score"), *rows])
        (found,) = judge_columns(tmp_path / "predictions.csv", LabelSource(file, by_row=by_row))
        assert (found.n, found.labelled) == (len(labels) - 1, len(labels)), file
        assert found.missing == [labels[0].video], file
        assert found.unlabelled == ([] if by_row else ["not-there.mp4"]), file
        assert found.metrics.srcc == pytest.approx(spearmanr(mos[1:], scores[1:]).statistic), file
        assert (found.metrics.outlier_ratio is not None) == (file.name in WITH_INTERVALS), file
