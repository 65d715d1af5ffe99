"""What was recognised of distorted copies: figures of written answers, and of SVMs on the same features."""

import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer, StandardScaler
from sklearn.svm import SVC, SVR

from distort.kinds import KINDS
from evaluate.metrics.texts import bare

Row = Mapping[str, str]
"""Of labels.csv."""
_WORDINGS = tomllib.loads((Path(__file__).parents[1] / "distort" / "questions.toml").read_text("utf-8"))
_STRENGTHS = {word: number for number, word in enumerate(_WORDINGS["strength"]["answers"], start=1)}
_WHEN = re.compile(r"from(\d+\.\d)to(\d+\.\d)seconds")
_ALIKE = (
    ("H.264 compression", "H.265 compression", "AV1 compression"),
    ("Gaussian blur", "defocus blur", "low resolution", "ringing"),
)
"""Names of kinds that leave nearly the same picture: codecs; high frequencies that are lost."""
_WITHIN_SECONDS = 1.0
_APART = 2
_BOUND = 2.7
"""Of normal scores, as of the projectors'."""


@dataclass(frozen=True)
class Said:
    """A question of distort's conversations, its answer, and what was written."""

    task: str
    """Or wording: the table of distort/questions.toml."""
    videos: tuple[str, ...]
    true: str
    written: str

    @property
    def right(self) -> bool:
        """Whether the same words were written."""
        return bare(self.true) == bare(self.written)

    @property
    def nearly_right(self) -> bool:
        """Or the name of a kind that looks alike."""
        return self.right or any(
            {bare(self.true), bare(self.written)} <= set(map(bare, names)) for names in _ALIKE
        )


def figures_of(answers: Iterable[Said], labels: Mapping[str, Row]) -> dict[str, float]:
    """Shares that are right and rank correlations, by what was asked, and where `n`: of how many."""
    found: dict[str, float] = {}
    by_task: dict[str, list[Said]] = {}
    for each in answers:
        by_task.setdefault(each.task, []).append(each)
    for sort in ("spatial", "temporal"):
        kinds = [a for a in by_task["kind"] if _whole(labels[a.videos[0]], sort)]
        found |= _shares(f"kind, {sort}", kinds, labels)
        told = [a for a in by_task["strength"] if _whole(labels[a.videos[0]], sort)]
        numbers = [_STRENGTHS.get(_known(a.written), 0) for a in told]
        found[f"strength, {sort}"] = _srcc([int(labels[a.videos[0]]["strength"]) for a in told], numbers)
        pairs = [a for a in by_task["worse"] if _sort_of(labels[a.videos[0]]) == sort]
        apart = [a for a in pairs if _distance(a.videos, labels) == _APART]
        found[f"worse, two steps apart, {sort}"] = _mean(a.right for a in apart)
        found[f"worse, all, {sort}"] = _mean(a.right for a in pairs)
    for task, what in (("when", "stretch"), ("still", "only stall"), ("first-still", "first stall")):
        asked = by_task.get(task, [])
        found[f"when, {what}"] = _mean(_in_time(a.true, a.written) for a in asked)
        found[f"when, {what}, were it always the mean"] = _mean_in_time([a.true for a in asked])
    return found


def _shares(name: str, kinds: Sequence[Said], labels: Mapping[str, Row]) -> dict[str, float]:
    seen = [a for a in kinds if int(labels[a.videos[0]]["strength"]) > 1]
    return {
        name: _mean(a.right for a in kinds),
        f"{name}, strength 2 to 5": _mean(a.right for a in seen),
        f"{name}, or one that looks alike": _mean(a.nearly_right for a in kinds),
    }


def _name(kind: str) -> str:
    return KINDS[kind].name if kind in KINDS else str(_WORDINGS["kind"]["none"])


def _known(written: str) -> str:
    return next((word for word in _STRENGTHS if bare(word) == bare(written)), "")


def _sort_of(row: Row) -> str | None:
    """Spatial or temporal; None of mixtures and pristine copies."""
    return KINDS[row["kind"]].sort if row["kind"] in KINDS else None


def _whole(row: Row, sort: str) -> bool:
    """Distorted by one kind of that sort from its beginning to its end."""
    return _sort_of(row) == sort and "-from-" not in row["video"]


def _distance(videos: Sequence[str], labels: Mapping[str, Row]) -> int:
    first, second = (int(labels[video]["strength"]) for video in videos)
    return abs(first - second)


def _in_time(true: str, written: str) -> bool:
    """Whether both ends are at most a second off."""
    said, stated = (_WHEN.fullmatch(bare(text)) for text in (true, written))
    assert said is not None
    return stated is not None and all(
        abs(float(a) - float(b)) <= _WITHIN_SECONDS + 1e-9
        for a, b in zip(said.groups(), stated.groups(), strict=True)
    )


def _mean_in_time(true: Sequence[str]) -> float:
    """What the one answer is worth that is the mean of all."""
    if not true:
        return math.nan
    begins, ends = zip(*(map(float, _WHEN.fullmatch(bare(text)).groups()) for text in true), strict=True)  # type: ignore[union-attr]
    same = f"from {fmean(begins):.1f} to {fmean(ends):.1f} seconds"
    return _mean(_in_time(text, same) for text in true)


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return fmean(known) if known else math.nan


def _srcc(true: Sequence[float], found: Sequence[float]) -> float:
    return float(spearmanr(true, found).statistic) if len(set(found)) > 1 else 0.0


def svm_figures(features: Mapping[str, NDArray[np.float64]], labels: Mapping[str, Row]) -> dict[str, float]:
    """The same figures of RBF-SVMs on mean features [D] of each video: what there is to be learnt.

    One tells the kinds apart; the strength of each kind has one of its own, which is told the kind, and which
    of a pair is worse follows from that. None says when.
    """
    whole = {v: row for v, row in labels.items() if row["kind"] in (*KINDS, "none") and "-from-" not in v}
    train, test = ([v for v, r in whole.items() if r["split"] == split] for split in ("train", "test"))
    kinds = _fitted(SVC(C=10.0), features, train, [whole[v]["kind"] for v in train])
    told = [
        Said("kind", (v,), _name(whole[v]["kind"]), _name(kind))
        for v, kind in zip(test, kinds.predict(_rows(features, test)), strict=True)
    ]
    numbers: dict[str, float] = {}
    for kind in {whole[v]["kind"] for v in test} - {"none"}:
        own, asked = ([v for v in part if whole[v]["kind"] == kind] for part in (train, test))
        if not own:
            continue
        fitted = _fitted(SVR(C=10.0), features, own, [float(whole[v]["strength"]) for v in own])
        numbers |= dict(zip(asked, fitted.predict(_rows(features, asked)), strict=True))
    found: dict[str, float] = {}
    for sort in ("spatial", "temporal"):
        own = [v for v in test if _sort_of(whole[v]) == sort]
        found |= _shares(f"kind, {sort}", [each for each in told if each.videos[0] in own], whole)
        true = {v: int(whole[v]["strength"]) for v in own if v in numbers}
        found[f"strength, {sort}"] = _srcc([*true.values()], [numbers[v] for v in true])
        pairs = [(a, b) for a in true for b in true if _of_one(whole[a], whole[b]) and true[a] < true[b]]
        apart = [(a, b) for a, b in pairs if true[b] - true[a] == _APART]
        found[f"worse, two steps apart, {sort}"] = _mean(numbers[a] < numbers[b] for a, b in apart)
        found[f"worse, all, {sort}"] = _mean(numbers[a] < numbers[b] for a, b in pairs)
    return found


def _of_one(first: Row, second: Row) -> bool:
    return (first["source"], first["kind"]) == (second["source"], second["kind"])


def _rows(features: Mapping[str, NDArray[np.float64]], videos: Sequence[str]) -> NDArray[np.float64]:
    return np.stack([features[video] for video in videos])


def _fitted(
    model: Any, features: Mapping[str, NDArray[np.float64]], videos: Sequence[str], true: Sequence[Any]
) -> Any:
    ranks = QuantileTransformer(n_quantiles=min(129, len(videos)), output_distribution="normal")
    bounded = FunctionTransformer(np.clip, kw_args={"a_min": -_BOUND, "a_max": _BOUND})
    return make_pipeline(ranks, bounded, StandardScaler(), model).fit(_rows(features, videos), true)
