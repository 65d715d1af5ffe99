"""Repeated training and testing on seeded splits, beside a baseline on the very same splits."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tabulate import tabulate

from config.schema import DatasetSettings, ProtocolSettings, RunSettings
from evaluate.answers import given
from evaluate.metrics import score_metrics
from evaluate.score import load_trained, parse_failures, predict_stored
from evaluate.svr import svr_scores, video_means
from store.durable.commit import write_file
from store.features import FeatureStore
from store.labels.dataset import grouped_labels, join_split
from store.labels.files import Label, MosScale
from store.labels.folds import published_folds
from store.labels.splits import k_fold, random_splits
from train.data.reader import FeatureReader
from train.data.samples import Split
from train.errors import RunError
from train.job import train_run
from train.pretrained import TrainedModel
from train.saving.checkpoint import CONFIG, checkpoint_of
from train.saving.run import read_run

log = logging.getLogger(__name__)

Statistic = Literal["median", "mean"]


@dataclass(frozen=True)
class SplitResult:
    """The test figures of one split, by method."""

    train: int
    test: int
    parse_failures: dict[str, int]
    """Pipeline → written answers that state no score; of those that write answers."""
    metrics: dict[str, dict[str, float | None]]
    """`PIPELINE, expected`, `PIPELINE, generate` and the baseline → srcc, plcc, …"""


@dataclass(frozen=True)
class ProtocolResult:
    """All splits, with what papers report of them: the median of random splits, the mean of folds."""

    protocol: str
    splits: list[SplitResult]
    statistic: Statistic
    methods: dict[str, dict[str, float]]
    """Method → srcc, plcc, … over the splits."""


def run_protocol(
    protocol: ProtocolSettings,
    runs: Sequence[RunSettings],
    splits: Sequence[Split],
    store: FeatureStore,
    folder: Path,
    *,
    starts: Mapping[str, Path] | None = None,
    restart: bool = False,
) -> ProtocolResult:
    """Train and test every pipeline on every split; a finished run is reused, but for `restart`.

    `starts`: pipeline → the run or model that its runs begin with, as fine-tuning does. Raises RunError where
    that one has seen the dataset, and so the videos that are tested.
    """
    starts = starts or {}
    for name, start in starts.items():
        seen = read_run(checkpoint_of(start) / CONFIG).seen
        if protocol.dataset in seen:
            raise RunError(
                f"{start}, which {name} is to begin with, was trained on {', '.join(seen)}: it has seen"
                f" videos that the protocol {protocol.name} tests; begin with another by --from, or train"
                f" {name} from the start by --set pipelines.{name}.continues=false"
            )
    results = []
    for number, split in enumerate(splits):
        trained = []
        for settings in runs:
            here = folder / settings.pipeline.name / f"split-{number}"
            of_dataset = {settings.dataset.name: split}
            begin = starts.get(settings.pipeline.name)
            train_run(settings, store, of_dataset, here, quiet=True, restart=restart, start=begin)
            trained.append(load_trained(here))
        results.append(_test(protocol, trained, store, split))
        log.info("split %d: %s", number, _line(results[-1]))
    statistic: Statistic = "median" if protocol.kind == "random-splits" else "mean"
    outcome = ProtocolResult(protocol.name, results, statistic, _over_splits(results, statistic))
    write_file(folder / "protocol.json", json.dumps(asdict(outcome), indent=2).encode())
    return outcome


def _test(
    protocol: ProtocolSettings, trained: Sequence[TrainedModel], store: FeatureStore, split: Split
) -> SplitResult:
    dataset = trained[0].settings.dataset
    readers = [
        FeatureReader(store, dataset, one.settings.pipeline.branches, one.run.feature_keys) for one in trained
    ]
    present, _ = join_split(split, set.intersection(*(reader.videos() for reader in readers)))
    train, test = present["train"], present["test"]
    scale = MosScale.of(dataset)
    mos = np.array([scale.to_100(label.mos) for label in test])
    metrics: dict[str, dict[str, Any]] = {}
    failures: dict[str, int] = {}
    for one, reader in zip(trained, readers, strict=True):
        name = one.settings.pipeline.name
        predictions = predict_stored(one, reader, [label.video for label in test], quiet=True)
        metrics[f"{name}, expected"] = _agreement(mos.tolist(), [p.score for p in predictions])
        if one.settings.pipeline.head == "decoder":
            failures[name] = parse_failures(one, predictions)
            metrics[f"{name}, generate"] = _agreement(mos.tolist(), [p.score_generate for p in predictions])
    if protocol.baseline == "svr":
        metrics["svr"] = asdict(score_metrics(mos, _svr(readers[0], train, test, scale)))
    return SplitResult(len(train), len(test), failures, metrics)


def _agreement(mos: Sequence[float], scores: Sequence[float | None]) -> dict[str, Any]:
    """Of the videos that have a score."""
    return asdict(score_metrics(*given(mos, scores)))


def _svr(
    reader: FeatureReader, train: Sequence[Label], test: Sequence[Label], scale: MosScale
) -> np.ndarray[Any, np.dtype[np.float64]]:
    return svr_scores(
        video_means(reader, [label.video for label in train]),
        [scale.to_100(label.mos) for label in train],
        video_means(reader, [label.video for label in test]),
    )


def _over_splits(results: Sequence[SplitResult], statistic: Statistic) -> dict[str, dict[str, float]]:
    methods, over = results[0].metrics, np.median if statistic == "median" else np.mean
    names = ("srcc", "plcc", "krcc", "rmse")
    return {
        method: {name: float(over([_number(r.metrics[method][name]) for r in results])) for name in names}
        for method in methods
    }


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _line(result: SplitResult) -> str:
    parts = [f"{method} SRCC {_number(m['srcc']):.3f}" for method, m in result.metrics.items()]
    failures = [f"{count} parse failures of {name}" for name, count in result.parse_failures.items()]
    return f"{', '.join([*parts, *failures])}; {result.test} videos"


def protocol_splits(protocol: ProtocolSettings, dataset: DatasetSettings) -> list[Split]:
    """The protocol's splits of the labels: seeded ones keep content groups together; or as published."""
    if protocol.kind == "published-folds":
        return list(published_folds(dataset, protocol.seed, protocol.validation_share))
    labels = grouped_labels(dataset)
    if protocol.kind == "k-fold":
        return list(k_fold(labels, protocol.repeats, protocol.seed, protocol.validation_share))
    return list(
        random_splits(labels, protocol.repeats, protocol.test_share, protocol.validation_share, protocol.seed)
    )


def protocol_table(result: ProtocolResult) -> str:
    """What the splits come to by method, and each split's SRCC."""
    rows = []
    for method, found in result.methods.items():
        each = " ".join(f"{_number(split.metrics[method]['srcc']):.3f}" for split in result.splits)
        rows.append([method, *(found[name] for name in ("srcc", "plcc", "krcc", "rmse")), each])
    table = tabulate(
        rows,
        [f"{result.statistic} of splits", "SRCC", "PLCC", "KRCC", "RMSE", "SRCC of each split"],
        floatfmt=".3f",
    )
    lines = [
        f"{name}: {sum(split.parse_failures[name] for split in result.splits)} parse failures of"
        f" {sum(split.test for split in result.splits)} written answers"
        for name in result.splits[0].parse_failures
    ]
    return "\n".join([table, "", *lines, "RMSE on 0–100"])
