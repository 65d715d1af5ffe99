"""Repeated training and testing on seeded splits, beside a baseline on the very same splits."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from config.schema import DatasetSettings, ProtocolSettings, RunSettings
from evaluate.metrics import score_metrics
from evaluate.score import load_trained, predict_stored
from evaluate.svr import svr_scores, video_means
from store.commit import write_file
from store.dataset import groups_of, join_split, labels_of
from store.features import FeatureStore
from store.labels import Label
from store.mos import MosScale
from store.splits import k_fold, random_splits
from train.job import train_run
from train.reader import FeatureReader
from train.samples import Split

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitResult:
    """The test figures of one split, by method."""

    train: int
    test: int
    parse_failures: int
    metrics: dict[str, dict[str, float | None]]
    """`expected`, `generate` and the baseline → srcc, plcc, …"""


@dataclass(frozen=True)
class ProtocolResult:
    """All splits, with the medians that papers report."""

    protocol: str
    splits: list[SplitResult]
    median: dict[str, dict[str, float]]


def run_protocol(
    protocol: ProtocolSettings,
    settings: RunSettings,
    splits: Sequence[Split],
    store: FeatureStore,
    folder: Path,
    *,
    restart: bool = False,
) -> ProtocolResult:
    """Train and test on every split; a finished split is reused, but for `restart`."""
    chosen = {name: encoder.key for name, encoder in settings.encoders.items() if encoder.key}
    reader = FeatureReader(store, settings.dataset, settings.pipeline.branches, chosen)
    results = []
    for number, split in enumerate(splits):
        here = folder / f"split-{number}"
        train_run(
            settings,
            store,
            {settings.dataset.name: split},
            here,
            quiet=True,
            keys=reader.keys,
            restart=restart,
        )
        result = _test(protocol, here, reader, split)
        results.append(result)
        log.info("split %d: %s", number, _line(result))
    outcome = ProtocolResult(protocol.name, results, _medians(results))
    write_file(folder / "protocol.json", json.dumps(asdict(outcome), indent=2).encode())
    return outcome


def _test(protocol: ProtocolSettings, folder: Path, reader: FeatureReader, split: Split) -> SplitResult:
    trained = load_trained(folder)
    split, _ = join_split(split, reader.videos())
    train, test = split["train"], split["test"]
    scale = MosScale(*trained.settings.dataset.mos_range)
    predictions = predict_stored(trained, reader, [label.video for label in test], quiet=True)
    mos = np.array([scale.to_100(label.mos) for label in test])
    stated = [
        (m, p.score_generate) for m, p in zip(mos, predictions, strict=True) if p.score_generate is not None
    ]
    metrics: dict[str, Any] = {
        "expected": asdict(score_metrics(mos, np.array([p.score for p in predictions]))),
        "generate": asdict(score_metrics(np.array([m for m, _ in stated]), np.array([s for _, s in stated]))),
    }
    if protocol.baseline == "svr":
        metrics["svr"] = asdict(score_metrics(mos, _svr(reader, train, test, scale)))
    return SplitResult(len(train), len(test), len(test) - len(stated), metrics)


def _svr(
    reader: FeatureReader, train: Sequence[Label], test: Sequence[Label], scale: MosScale
) -> np.ndarray[Any, np.dtype[np.float64]]:
    return svr_scores(
        video_means(reader, [label.video for label in train]),
        [scale.to_100(label.mos) for label in train],
        video_means(reader, [label.video for label in test]),
    )


def _medians(results: Sequence[SplitResult]) -> dict[str, dict[str, float]]:
    methods = results[0].metrics
    names = ("srcc", "plcc", "krcc", "rmse")
    return {
        method: {
            name: float(np.median([_number(r.metrics[method][name]) for r in results])) for name in names
        }
        for method in methods
    }


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _line(result: SplitResult) -> str:
    parts = [f"{method} SRCC {_number(m['srcc']):.3f}" for method, m in result.metrics.items()]
    return f"{', '.join(parts)}, {result.parse_failures} parse failures of {result.test}"


def protocol_splits(protocol: ProtocolSettings, dataset: DatasetSettings) -> list[Split]:
    """The protocol's seeded splits of the dataset's labels; content groups stay together."""
    labels = labels_of(dataset)
    groups = groups_of(labels, dataset)
    if protocol.kind == "k-fold":
        return list(k_fold(labels, groups, protocol.repeats, protocol.seed, protocol.validation_share))
    return list(
        random_splits(
            labels, groups, protocol.repeats, protocol.test_share, protocol.validation_share, protocol.seed
        )
    )


def protocol_table(result: ProtocolResult) -> str:
    """Medians over the splits by method, and each split's SRCC."""
    rows = []
    for method, median in result.median.items():
        each = " ".join(f"{_number(split.metrics[method]['srcc']):.3f}" for split in result.splits)
        rows.append([method, *(median[name] for name in ("srcc", "plcc", "krcc", "rmse")), each])
    table = tabulate(
        rows, ["median of splits", "SRCC", "PLCC", "KRCC", "RMSE", "SRCC of each split"], floatfmt=".3f"
    )
    failures = sum(split.parse_failures for split in result.splits)
    tested = sum(split.test for split in result.splits)
    return f"{table}\n\n{failures} parse failures of {tested} written answers; RMSE on 0–100"
