"""Does the model see degradations? Rank correlation within ladders of ever worse copies of a video."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import spearmanr
from tabulate import tabulate
from tqdm import tqdm

from evaluate.degrade import KINDS, STEPS, degrade
from evaluate.score import TrainedModel, predict_files


@dataclass(frozen=True)
class Ladder:
    """The scores of one video, from its undegraded copy (step 0) to the worst."""

    video: str
    kind: str
    scores: list[float]
    srcc: float
    """Spearman correlation of the score with minus the step: 1 where every step looks worse."""


def climb(trained: TrainedModel, videos: Sequence[Path], *, quiet: bool = False) -> Iterator[Ladder]:
    """Degrade each video in graded steps of each kind and score all copies.

    Raises the decoder's error for a video that cannot be read.
    """
    for video in tqdm(videos, desc="ladders", unit="video", disable=quiet):
        with tempfile.TemporaryDirectory(prefix="ladder-") as folder:
            for kind in KINDS:
                copies = [
                    degrade(video, Path(folder) / f"{kind}-{step}.mp4", kind, step)
                    for step in range(STEPS + 1)
                ]
                outcomes = list(predict_files(trained, copies))
                scores = [o.prediction.score if o.prediction else math.nan for o in outcomes]
                yield Ladder(video.name, kind, scores, rank_correlation(scores))


def rank_correlation(scores: Sequence[float]) -> float:
    """Spearman correlation between falling quality and falling score; 0 where all scores are equal."""
    if len(set(scores)) == 1:
        return 0.0
    return float(spearmanr([-step for step in range(len(scores))], scores).statistic)


def summary(ladders: Sequence[Ladder]) -> dict[str, object]:
    """Mean correlation for each kind and over the kinds."""
    kinds = {
        kind: sum(values) / len(values)
        for kind in KINDS
        if (values := [ladder.srcc for ladder in ladders if ladder.kind == kind])
    }
    return {"kinds": kinds, "mean": sum(kinds.values()) / len(kinds)}


def ladder_table(ladders: Sequence[Ladder]) -> str:
    """Rank correlations, a row for each video and a column for each kind, with the means."""
    videos = list(dict.fromkeys(ladder.video for ladder in ladders))
    found = {(ladder.video, ladder.kind): ladder.srcc for ladder in ladders}
    rows: list[list[object]] = [[video, *(found[video, kind] for kind in KINDS)] for video in videos]
    means = [sum(found[video, kind] for video in videos) / len(videos) for kind in KINDS]
    rows.append(["mean", *means])
    table = tabulate(rows, ["rank correlation with falling quality", *KINDS], floatfmt=".2f")
    return f"{table}\n\nmean over kinds {sum(means) / len(means):.3f} (1: every step is seen to be worse)"
