"""Figures that others have published (published.toml), each with the table it comes from."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

Protocol = Literal["zero-shot", "in-sample", "ood", "fine-tuning", "random-splits", "ablation"]
Study = Literal["micro-design", "spatial projector", "training data", "temporal tokens"]
_FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True)
class PublishedResult:
    """Correlations of one method on one test set."""

    method: str
    """In an ablation: the variant."""
    dataset: str
    test: str
    """`test` or `test-1080p` (of LSVQ), `all` (the whole dataset), `5-fold`, or `80/20` (random splits)."""
    protocol: Protocol
    srcc: float
    plcc: float
    source: str
    """Where the figures are printed."""
    trained_on: str | None = None
    study: Study | None = None
    """What an ablation varies."""
    seconds_per_video: float | None = None
    """Running time, where it is given."""


@dataclass(frozen=True)
class PublishedLevelAccuracy:
    """Shares of videos, in 0–1, whose level a method gave correctly."""

    method: str
    dataset: str
    test: str
    poor: float
    fair: float
    good: float
    total: float
    source: str
    trained_on: str


def published(dataset: str, protocol: Protocol, test: str | None = None) -> list[PublishedResult]:
    """Results on a dataset, in the order they are printed; `test` None gives those on all its test sets.

    Empty where nothing is published. A method whose cell is printed as NA is left out.
    """
    return [
        result
        for result in _results()
        if (result.dataset, result.protocol) == (dataset, protocol) and test in (None, result.test)
    ]


def ablation(study: Study, test: str | None = None) -> list[PublishedResult]:
    """The LMM-VQA paper's ablations, all on LSVQ (Tables VII and VIII)."""
    return [result for result in published("LSVQ", "ablation", test) if result.study == study]


def published_level_accuracies(dataset: str, test: str | None = None) -> list[PublishedLevelAccuracy]:
    """Level accuracies on a dataset (Table VI); `test` None gives those on all its test sets."""
    return [row for row in _level_accuracies() if row.dataset == dataset and test in (None, row.test)]


@cache
def _results() -> tuple[PublishedResult, ...]:
    return tuple(result for table in _tables()["results"] for result in _rows(table))


@cache
def _level_accuracies() -> tuple[PublishedLevelAccuracy, ...]:
    return tuple(
        PublishedLevelAccuracy(
            method, table["dataset"], table["test"], **shares, **_common(table, "source", "trained_on")
        )
        for table in _tables()["level_accuracies"]
        for method, shares in table["rows"].items()
    )


def _rows(table: dict[str, Any]) -> Iterator[PublishedResult]:
    seconds = table.get("seconds_per_video", {})
    for method, cells in table["rows"].items():
        for (dataset, test), cell in zip(table["columns"], cells, strict=True):
            if cell:
                srcc, plcc = cell
                yield PublishedResult(
                    method,
                    dataset,
                    test,
                    srcc=srcc,
                    plcc=plcc,
                    seconds_per_video=seconds.get(method),
                    **_common(table, "protocol", "source", "trained_on", "study"),
                )


def _common(table: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: table[name] for name in names if name in table}


@cache
def _tables() -> dict[str, Sequence[dict[str, Any]]]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
