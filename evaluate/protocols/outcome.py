"""What a protocol found: figures of each trial, over all trials, and as a table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tabulate import tabulate

from config.schema import DatasetSettings, ProtocolSettings
from evaluate.metrics.answers import given
from evaluate.metrics.scores import level_accuracy, score_metrics
from evaluate.metrics.spread import Spread, pooled, spread_line, spread_of
from evaluate.protocols.cell import Tested, TestedVideo
from store.durable.commit import write_file

Statistic = Literal["median", "mean"]
Figures = dict[str, dict[str, float | None]]
"""`PIPELINE, expected`, `PIPELINE, generate` and the baseline → srcc, plcc, …"""
Shares = dict[str, dict[str, float | None]]
"""The same → `total` and each true level → share whose level was given correctly."""

_SHOWN = ("srcc", "plcc", "krcc", "rmse")


@dataclass(frozen=True)
class SplitResult:
    """The test figures of one trial, by method, of the videos that all methods have features of."""

    name: str
    train: int
    test: int
    left_out: int
    """Labelled videos that some method has no features of."""
    parse_failures: dict[str, int]
    """Pipeline → written answers that state no score; of those that write answers."""
    metrics: Figures
    """Of all test videos together."""
    datasets: dict[str, Figures]
    """Test set → the same of its own videos."""
    levels: dict[str, Shares]
    """Test set → level accuracies, where methods give levels."""
    spread: dict[str, Spread]
    """Pipeline → whether its standard deviations were as large as its errors; of those that give some."""


@dataclass(frozen=True)
class ProtocolResult:
    """All trials, with what papers report of them: the median of random splits, the mean of all else."""

    protocol: str
    splits: list[SplitResult]
    statistic: Statistic
    pools: bool
    """Whether figures of all of a trial's test videos together mean something."""
    methods: dict[str, dict[str, float]]
    """Method → srcc, plcc, … over the trials, each on all its test videos."""
    datasets: dict[str, dict[str, dict[str, float]]]
    """Test set → the same on its own videos, over the trials that test it."""
    levels: dict[str, dict[str, dict[str, float]]]
    """Test set → method → level accuracies, over the trials."""
    aligned: list[str]
    """The datasets whose scores are laid on another scale than that of their range."""


def judged(trial: str, found: Mapping[str, Tested]) -> SplitResult:
    """Figures of a trial's methods, those that are there, on the videos that all of them have."""
    tests = list(next(iter(found.values())).tests)
    common = {
        test: set.intersection(*({video.video for video in each.tests[test]} for each in found.values()))
        for test in tests
    }
    rows = {
        method: {test: [v for v in each.tests[test] if v.video in common[test]] for test in tests}
        for method, each in found.items()
    }
    together = {method: [video for test in tests for video in own[test]] for method, own in rows.items()}
    listed = {
        test: max(len(each.tests[test]) + each.missing[test] for each in found.values()) for test in tests
    }
    return SplitResult(
        name=trial,
        train=max(each.trained for each in found.values()),
        test=sum(map(len, common.values())),
        left_out=sum(listed.values()) - sum(map(len, common.values())),
        parse_failures={
            method: sum(video.fails for video in together[method])
            for method, each in found.items()
            if each.writes
        },
        metrics=_figures(found, together),
        datasets={test: _figures(found, {m: own[test] for m, own in rows.items()}) for test in tests},
        levels={test: _shares(found, {m: own[test] for m, own in rows.items()}) for test in tests},
        spread={
            method: spread
            for method, each in found.items()
            if each.std_scale is not None
            and (spread := spread_of([v.mos for v in together[method]], together[method], each.std_scale))
        },
    )


def _said(
    found: Mapping[str, Tested], rows: Mapping[str, Sequence[TestedVideo]]
) -> dict[str, tuple[list[float | None], list[str | None]]]:
    """Method and readout → scores and levels of the videos."""
    said: dict[str, tuple[list[float | None], list[str | None]]] = {}
    for method, videos in rows.items():
        expected = method if found[method].parameters is None else f"{method}, expected"
        said[expected] = [v.score for v in videos], [v.level_pred for v in videos]
        if found[method].writes:
            said[f"{method}, generate"] = [v.generate for v in videos], [v.level_generate for v in videos]
    return said


def _figures(found: Mapping[str, Tested], rows: Mapping[str, Sequence[TestedVideo]]) -> Figures:
    mos = [video.mos for video in next(iter(rows.values()))]
    return {
        name: asdict(score_metrics(*given(mos, scores))) for name, (scores, _) in _said(found, rows).items()
    }


def _shares(found: Mapping[str, Tested], rows: Mapping[str, Sequence[TestedVideo]]) -> Shares:
    shares: Shares = {}
    for name, (_, levels) in _said(found, rows).items():
        true = [video.level for video in rows[name.partition(", ")[0]]]
        named = [level for level in true if level is not None]
        if len(named) < len(true) or not any(levels):
            continue
        accuracy = level_accuracy(named, levels, _ascending(rows[name.partition(", ")[0]], levels))
        shares[name] = {"total": accuracy.total, **accuracy.classes}
    return shares


def _ascending(videos: Sequence[TestedVideo], predicted: Sequence[str | None]) -> list[str]:
    """All levels that occur, in the order of the opinion scores that they stand for."""
    lowest: dict[str, float] = dict.fromkeys(filter(None, predicted), float("inf"))
    for video in videos:
        if video.level is not None:
            lowest[video.level] = min(video.mos, lowest.get(video.level, float("inf")))
    return sorted(lowest, key=lambda level: (lowest[level], level))


def outcome_of(
    protocol: ProtocolSettings, datasets: Sequence[DatasetSettings], splits: Sequence[SplitResult]
) -> ProtocolResult:
    """Figures over the trials."""
    statistic: Statistic = "median" if protocol.kind == "random-splits" else "mean"
    tests = list(dict.fromkeys(test for split in splits for test in split.datasets))
    return ProtocolResult(
        protocol=protocol.name,
        splits=list(splits),
        statistic=statistic,
        pools=protocol.pools,
        methods=_over([split.metrics for split in splits], statistic, _SHOWN),
        datasets={
            test: _over([split.datasets.get(test, {}) for split in splits], statistic, _SHOWN)
            for test in tests
        },
        levels={
            test: _over([split.levels.get(test, {}) for split in splits], statistic, None) for test in tests
        },
        aligned=[dataset.name for dataset in datasets if dataset.aligned is not None],
    )


def _over(
    trials: Sequence[Mapping[str, Mapping[str, float | None]]],
    statistic: Statistic,
    names: Sequence[str] | None,
) -> dict[str, dict[str, float]]:
    """Of each method, its figures over the trials that have it; a level's over those that have the level."""
    over = np.median if statistic == "median" else np.mean
    found: dict[str, dict[str, float]] = {}
    for method in dict.fromkeys(method for trial in trials for method in trial):
        own = [trial[method] for trial in trials if method in trial]
        if names is not None:
            values = {name: [_number(each[name]) for each in own] for name in names}
        else:
            levels = dict.fromkeys(level for each in own for level in each)
            values = {name: [v for each in own if (v := each.get(name)) is not None] for name in levels}
        found[method] = {name: float(over(each)) for name, each in values.items() if each}
    return found


def write_outcome(folder: Path, outcome: ProtocolResult) -> None:
    """As protocol.json, all or nothing."""
    write_file(folder / "protocol.json", json.dumps(asdict(outcome), indent=2).encode())


def cell_line(tested: Tested) -> str:
    """A cell's SRCC by test set."""
    parts = []
    for name, videos in tested.tests.items():
        metrics = score_metrics(*given([video.mos for video in videos], [video.score for video in videos]))
        parts.append(f"{name} SRCC {_number(metrics.srcc):.3f} ({len(videos)} videos)")
    failures = sum(video.fails for videos in tested.tests.values() for video in videos)
    return ", ".join([*parts, *([f"{failures} parse failures"] if failures else [])])


def protocol_table(result: ProtocolResult) -> str:
    """What the trials come to by method, and each trial's SRCC: on all videos, and on each test set's."""
    several = len(result.datasets) > 1
    rows = []
    if result.pools or not several:
        rows += _rows("all", result.methods, [split.metrics for split in result.splits])
    if several:
        for test, found in result.datasets.items():
            own = [split.datasets[test] for split in result.splits if test in split.datasets]
            rows += _rows(test, found, own)
    else:
        rows = [row[1:] for row in rows]
    header = [f"{result.statistic} of splits", "SRCC", "PLCC", "KRCC", "RMSE", "SRCC of each split"]
    table = tabulate(rows, ["videos", *header] if several else header, floatfmt=".3f")
    return "\n".join([table, "", *_levels(result), *remarks(result)])


def _levels(result: ProtocolResult) -> list[str]:
    """A table of level accuracies, where there are some."""
    rows = [
        {"videos": test, "level accuracy": method, **shares}
        for test, found in result.levels.items()
        for method, shares in found.items()
    ]
    return [tabulate(rows, headers="keys", floatfmt=".3f"), ""] if rows else []


def remarks(result: ProtocolResult) -> list[str]:
    """What a reader must know beside the figures: parse failures, intervals, what is left out, the scale."""
    writing = list(dict.fromkeys(name for split in result.splits for name in split.parse_failures))
    lines = []
    for name in writing:
        own = [split for split in result.splits if name in split.parse_failures]
        lines.append(
            f"{name}: {sum(split.parse_failures[name] for split in own)} parse failures of"
            f" {sum(split.test for split in own)} written answers"
        )
    for name in dict.fromkeys(name for split in result.splits for name in split.spread):
        spreads = [split.spread[name] for split in result.splits if name in split.spread]
        lines.append(f"{name}: {spread_line(pooled(spreads))}")
    if left_out := sum(split.left_out for split in result.splits):
        lines.append(f"{left_out} tests of labelled videos are left out: some method has no features of them")
    aligned = f", {' and '.join(result.aligned)} as aligned" if result.aligned else ""
    return [*lines, f"RMSE on 0–100{aligned}"]


def _rows(
    videos: str, found: Mapping[str, Mapping[str, float]], trials: Sequence[Figures]
) -> list[list[Any]]:
    return [
        [
            videos,
            method,
            *(figures[name] for name in _SHOWN),
            " ".join(f"{_number(trial[method]['srcc']):.3f}" for trial in trials if method in trial),
        ]
        for method, figures in found.items()
    ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
