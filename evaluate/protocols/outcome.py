"""What a protocol found: figures of each trial, over all trials, and as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from tabulate import tabulate

from config.schema import DatasetSettings, ProtocolSettings
from evaluate.metrics.answers import given
from evaluate.metrics.scores import score_metrics
from evaluate.metrics.spread import Spread, pooled, spread_line

Statistic = Literal["median", "mean"]
Figures = dict[str, dict[str, float | None]]
"""`PIPELINE, expected`, `PIPELINE, generate` and the baseline → srcc, plcc, …"""

_SHOWN = ("srcc", "plcc", "krcc", "rmse")


@dataclass(frozen=True)
class ScoredVideos:
    """Opinion scores on 0–100, and every method's scores of the same videos."""

    mos: list[float]
    scores: dict[str, list[float | None]]

    def figures(self) -> Figures:
        """Of each method, of the videos that it gave a score."""
        return {name: asdict(score_metrics(*given(self.mos, said))) for name, said in self.scores.items()}

    @classmethod
    def together(cls, parts: Sequence["ScoredVideos"]) -> "ScoredVideos":
        """All videos of the parts, which have the same methods."""
        return cls(
            [mos for part in parts for mos in part.mos],
            {name: [score for part in parts for score in part.scores[name]] for name in parts[0].scores},
        )


@dataclass(frozen=True)
class SplitResult:
    """The test figures of one trial, by method."""

    name: str
    train: int
    test: int
    parse_failures: dict[str, int]
    """Pipeline → written answers that state no score; of those that write answers."""
    metrics: Figures
    """Of all test videos together."""
    datasets: dict[str, Figures]
    """Dataset → the same of its own test videos."""
    spread: dict[str, Spread]
    """Pipeline → whether its standard deviations were as large as its errors; of those that give some."""


@dataclass(frozen=True)
class ProtocolResult:
    """All trials, with what papers report of them: the median of random splits, the mean of all else."""

    protocol: str
    splits: list[SplitResult]
    statistic: Statistic
    methods: dict[str, dict[str, float]]
    """Method → srcc, plcc, … over the trials, each on all its test videos."""
    datasets: dict[str, dict[str, dict[str, float]]]
    """Dataset → the same on its own test videos, over the trials that test it."""
    aligned: list[str]
    """The datasets whose scores are laid on another scale than that of their range."""


def outcome_of(
    protocol: ProtocolSettings, datasets: Sequence[DatasetSettings], splits: Sequence[SplitResult]
) -> ProtocolResult:
    """Figures over the trials."""
    statistic: Statistic = "median" if protocol.kind == "random-splits" else "mean"
    by_dataset = {
        name: _over([split.datasets[name] for split in splits if name in split.datasets], statistic)
        for name in protocol.datasets
    }
    together = _over([split.metrics for split in splits], statistic)
    aligned = [dataset.name for dataset in datasets if dataset.aligned is not None]
    return ProtocolResult(protocol.name, list(splits), statistic, together, by_dataset, aligned)


def _over(trials: Sequence[Figures], statistic: Statistic) -> dict[str, dict[str, float]]:
    over = np.median if statistic == "median" else np.mean
    return {
        method: {name: float(over([_number(found[method][name]) for found in trials])) for name in _SHOWN}
        for method in trials[0]
    }


def trial_line(result: SplitResult) -> str:
    """A trial's SRCC by method."""
    parts = [f"{method} SRCC {_number(found['srcc']):.3f}" for method, found in result.metrics.items()]
    failures = [f"{count} parse failures of {name}" for name, count in result.parse_failures.items()]
    return f"{', '.join([*parts, *failures])}; {result.test} videos"


def protocol_table(result: ProtocolResult) -> str:
    """What the trials come to by method, and each trial's SRCC: on all videos, and on each dataset's."""
    rows = _rows("all", result.methods, [split.metrics for split in result.splits])
    if len(result.datasets) > 1:
        for dataset, found in result.datasets.items():
            own = [split.datasets[dataset] for split in result.splits if dataset in split.datasets]
            rows += _rows(dataset, found, own)
    else:
        rows = [row[1:] for row in rows]
    header = [f"{result.statistic} of splits", "SRCC", "PLCC", "KRCC", "RMSE", "SRCC of each split"]
    table = tabulate(rows, header if len(rows[0]) == len(header) else ["videos", *header], floatfmt=".3f")
    lines = [
        f"{name}: {sum(split.parse_failures[name] for split in result.splits)} parse failures of"
        f" {sum(split.test for split in result.splits)} written answers"
        for name in result.splits[0].parse_failures
    ]
    lines += [
        f"{name}: {spread_line(pooled([split.spread[name] for split in result.splits]))}"
        for name in result.splits[0].spread
        if all(name in split.spread for split in result.splits)
    ]
    aligned = f", {' and '.join(result.aligned)} as aligned" if result.aligned else ""
    return "\n".join([table, "", *lines, f"RMSE on 0–100{aligned}"])


def _rows(
    videos: str, found: Mapping[str, Mapping[str, float]], trials: Sequence[Figures]
) -> list[list[Any]]:
    return [
        [
            videos,
            method,
            *(figures[name] for name in _SHOWN),
            " ".join(f"{_number(trial[method]['srcc']):.3f}" for trial in trials),
        ]
        for method, figures in found.items()
    ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
