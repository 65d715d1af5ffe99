"""Figures that others have published (sources/*.toml), each with the table it comes from."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

Protocol = Literal["zero-shot", "in-sample", "ood", "fine-tuning", "random-splits", "ablation"]
Study = Literal["micro-design", "spatial projector", "training data", "temporal tokens"]
_FILES = tuple(Path(__file__).with_name("sources") / f"{name}.toml" for name in ("lmm_vqa", "field"))
RELEASED = frozenset({"YouTube-UGC"})
"""Datasets of several releases, whose figures say nothing of each other."""


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
    plcc: float | None
    """None where it is not published."""
    source: str
    """Where the figures are printed."""
    trained_on: str | None = None
    release: int | None = None
    """Videos of the dataset's release, where it has several (RELEASED) and the source says which."""
    table: str | None = None
    """The named table (evaluate.report.named) that shows it."""
    study: Study | None = None
    """What an ablation varies."""
    modules: str | None = None
    """What extracts the features, where it is given."""
    seconds_per_video: float | None = None
    """Running time, where it is given."""
    improvements: Mapping[str, tuple[str, str]] | None = None
    """Of an ablation: variant that it improves on → (SRCC, PLCC), per cent as printed."""


@dataclass(frozen=True)
class PublishedLevelAccuracy:
    """Shares of videos, in 0–1, whose level a method gave correctly."""

    method: str
    dataset: str
    test: str
    protocol: Protocol
    poor: float
    fair: float
    good: float
    total: float
    source: str
    trained_on: str
    release: int | None = None
    """As of `PublishedResult`."""


@dataclass(frozen=True)
class PublishedBenchmark:
    """Scores of one method on a benchmark of questions."""

    method: str
    benchmark: str
    scores: Mapping[str, float]
    """Aspect → 0–5."""
    source: str


def published(dataset: str, protocol: Protocol, test: str | None = None) -> list[PublishedResult]:
    """Results on a dataset, in the order of the sources; `test` None gives those on all its test sets.

    Empty where nothing is published. A method whose cell is printed as NA is left out.
    """
    return [
        result
        for result in published_results()
        if (result.dataset, result.protocol) == (dataset, protocol) and test in (None, result.test)
    ]


def ablation(study: Study, test: str | None = None) -> list[PublishedResult]:
    """The LMM-VQA paper's ablations, all on LSVQ (Tables VII and VIII)."""
    return [result for result in published("LSVQ", "ablation", test) if result.study == study]


@cache
def published_results() -> tuple[PublishedResult, ...]:
    """All correlations, in the order of the sources."""
    return tuple(result for group in _groups("results") for result in _rows(group))


def published_level_accuracies(
    dataset: str | None = None, test: str | None = None
) -> list[PublishedLevelAccuracy]:
    """Level accuracies (Table VI); None gives those on all datasets, or all test sets of one."""
    return [
        PublishedLevelAccuracy(
            method,
            **shares,
            **_common(group, "dataset", "test", "protocol", "source", "trained_on", "release"),
        )
        for group in _groups("level_accuracies")
        if dataset in (None, group["dataset"]) and test in (None, group["test"])
        for method, shares in group["rows"].items()
    ]


@cache
def published_benchmarks() -> tuple[PublishedBenchmark, ...]:
    """Scores on benchmarks of questions (Table IX)."""
    return tuple(
        PublishedBenchmark(
            method,
            scores=dict(zip(group["aspects"], scores, strict=True)),
            **_common(group, "benchmark", "source"),
        )
        for group in _groups("benchmarks")
        for method, scores in group["rows"].items()
    )


def _rows(group: dict[str, Any]) -> Iterator[PublishedResult]:
    for method, cells in group["rows"].items():
        better = group.get("improvements", {}).get(method)
        for place, ((dataset, test), cell) in enumerate(zip(group["columns"], cells, strict=True)):
            if not cell:
                continue
            yield PublishedResult(
                method,
                dataset,
                test,
                group.get("protocol", "in-sample" if dataset == "LSVQ" else "ood"),
                srcc=cell[0],
                plcc=cell[1] if len(cell) > 1 else None,
                trained_on=_of(group, method, "trained", "trained_on"),
                release=_of(group, method, "releases", "release") if dataset in RELEASED else None,
                modules=_of(group, method, "modules"),
                seconds_per_video=_of(group, method, "seconds_per_video"),
                improvements=better and {over: tuple(each[place]) for over, each in better.items()},
                **_common(group, "source", "table", "study"),
            )


def _of(group: dict[str, Any], method: str, each: str, all_alike: str = "") -> Any:
    """What the group says of the method, or of all its methods alike; None where it says nothing."""
    return group.get(each, {}).get(method, group.get(all_alike))


def _common(group: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: group[name] for name in names if name in group}


def _groups(kind: str) -> Sequence[dict[str, Any]]:
    return [group for document in _documents() for group in document.get(kind, [])]


@cache
def _documents() -> tuple[dict[str, Any], ...]:
    return tuple(tomllib.loads(file.read_text(encoding="utf-8")) for file in _FILES)
