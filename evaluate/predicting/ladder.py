"""Does the model see degradations? Rank correlation within ladders of ever worse copies of a video."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import spearmanr
from tabulate import tabulate

from distort.degrade import KINDS, STEPS, write_degraded
from distort.footage import read_footage
from evaluate.errors import EvaluationError
from evaluate.predicting.scorer import Scorer
from evaluate.predicting.scores import VideoScore

SECONDS = 5.0
"""How much of a video's beginning is degraded."""
MAX_LINES = 540


@dataclass(frozen=True)
class Ladder:
    """The scores of one video, from its undegraded copy (step 0) to the worst."""

    video: str
    kind: str
    scores: list[float]
    srcc: float
    """Spearman correlation of the score with minus the step: 1 where every step looks worse."""


def climb(scorer: Scorer, video: Path, seconds: float = SECONDS) -> list[Ladder]:
    """Degrade the video's beginning in graded steps of each kind and score all copies.

    Raises UnreadableVideo.
    """
    footage = read_footage(video, seconds, MAX_LINES)
    with tempfile.TemporaryDirectory(prefix="ladder-") as folder:
        first = write_degraded(footage, Path(folder) / "0.mp4", KINDS[0], 0)
        worse = [
            write_degraded(footage, Path(folder) / f"{kind}-{step}.mp4", kind, step)
            for kind in KINDS
            for step in range(1, STEPS + 1)
        ]
        found = dict(scorer.score_all([first, *worse]))
        best, *others = (_score(found[number]) for number in range(1 + len(worse)))
    ladders = []
    for number, kind in enumerate(KINDS):
        scores = [best, *others[number * STEPS : (number + 1) * STEPS]]
        ladders.append(Ladder(video.name, kind, scores, rank_correlation(scores)))
    return ladders


def _score(found: VideoScore) -> float:
    if found.score is None:
        reason = found.error or "the model was not asked for opinion scores"
        raise EvaluationError(f"a degraded copy cannot be scored: {reason}")
    return found.score


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
    return {"kinds": kinds, "mean": sum(kinds.values()) / len(kinds) if kinds else None}


def ladder_table(ladders: Sequence[Ladder]) -> str:
    """Rank correlations, a row for each video and a column for each kind, with the means."""
    videos = list(dict.fromkeys(ladder.video for ladder in ladders))
    found = {(ladder.video, ladder.kind): ladder.srcc for ladder in ladders}
    rows: list[list[object]] = [[video, *(found[video, kind] for kind in KINDS)] for video in videos]
    means = [sum(found[video, kind] for video in videos) / len(videos) for kind in KINDS]
    rows.append(["mean", *means])
    table = tabulate(rows, ["rank correlation with falling quality", *KINDS], floatfmt=".2f")
    return f"{table}\n\nmean over kinds {sum(means) / len(means):.3f} (1: every step is seen to be worse)"
