"""The tables that have names: each of the LMM-VQA paper, and the field's; figures of ours stand beside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evaluate.errors import EvaluationError
from evaluate.report.ours import OwnResult
from evaluate.report.placing import Place, Result, comparable, fitting, grouped, method, places, source
from evaluate.report.published import (
    PublishedLevelAccuracy,
    PublishedResult,
    published_benchmarks,
    published_level_accuracies,
    published_results,
)
from evaluate.report.wide import Column, Row, Value, WideTable

_LEVELS = ("poor", "fair", "good", "total")
_SECONDS = Column("", "RT/s")


@dataclass(frozen=True)
class Named:
    """A table that has a name."""

    title: str
    build: Callable[[str, str, Sequence[OwnResult]], WideTable]
    """Of name, title and those of ours that belong to it."""


def named_table(name: str, ours: Sequence[OwnResult] = ()) -> WideTable:
    """The table of that name, with those of ours that belong to it first.

    Raises EvaluationError where there is none.
    """
    if name not in TABLES:
        raise EvaluationError(f"no table is named {name!r}; there are {', '.join(TABLES)}")
    found = TABLES[name]
    return found.build(name, found.title, [result for result in ours if name in belonging(result)])


def belonging(result: OwnResult) -> list[str]:
    """The tables that have the test set of that result, tested by the same protocol."""
    return [
        name
        for name in TABLES
        if fitting([result], _others(name)) and (name != "levels" or set(_LEVELS) <= set(result.levels))
    ]


def _correlations(name: str, title: str, ours: Sequence[OwnResult]) -> WideTable:
    others = [result for result in published_results() if _shown_in(name, result)]
    headings = _headings([*others, *ours])
    modules = {result.method: result.modules for result in others if name == result.table and result.modules}
    rows: list[Row] = []
    for row in grouped([*ours, *others]):
        first = row[0]
        texts = [method(first), *([modules.get(first.method, "")] if modules else []), first.trained_on or ""]
        values = {**_values(row, headings, _pair), **_seconds(first)}
        rows += [Row(tuple(texts), values, source(row)), *_improvements(row, headings, len(texts))]
    columns = [Column(heading, what) for heading in headings.values() for what in ("SRCC", "PLCC")]
    columns += [_SECONDS] if any(_SECONDS in row.values for row in rows) else []
    texts = ["Method", *(["Feature extraction modules"] if modules else []), "Trained on"]
    return WideTable(name, title, tuple(texts), tuple(columns), tuple(rows))


def _level_shares(name: str, title: str, ours: Sequence[OwnResult]) -> WideTable:
    others = published_level_accuracies()
    headings = _headings([*others, *ours])
    rows = [
        Row((method(row[0]), row[0].trained_on or ""), _values(row, headings, _shares), source(row))
        for row in grouped([*ours, *others])
    ]
    columns = [Column(heading, level.capitalize()) for heading in headings.values() for level in _LEVELS]
    return WideTable(name, title, ("Method", "Trained on"), tuple(columns), tuple(rows))


def _benchmark(name: str, title: str, _: Sequence[OwnResult]) -> WideTable:
    rows = [
        Row(
            (result.method,),
            {Column("", aspect): Value(score, "all", 2) for aspect, score in result.scores.items()},
            f"published: {result.source}",
        )
        for result in published_benchmarks()
    ]
    return WideTable(name, title, ("Method",), tuple(rows[0].values), tuple(rows))


TABLES = {
    "zero-shot": Named("Video chat models, not trained to judge quality (LMM-VQA, Table I)", _correlations),
    "in-sample": Named("Trained and tested on LSVQ, in-sample (LMM-VQA, Table III)", _correlations),
    "out-of-distribution": Named(
        "Trained on LSVQ, tested on other datasets, out of distribution (LMM-VQA, Table IV)", _correlations
    ),
    "fine-tuning": Named("Fine-tuned and tested on each dataset (LMM-VQA, Table V)", _correlations),
    "levels": Named("Shares of videos whose level is right (LMM-VQA, Table VI)", _level_shares),
    "ablation-design": Named("Ablation: parts of the model (LMM-VQA, Table VII)", _correlations),
    "ablation-projector": Named("Ablation: spatial projector (LMM-VQA, Table VIII)", _correlations),
    "ablation-data": Named("Ablation: share of the training data (LMM-VQA, Table VIII)", _correlations),
    "ablation-tokens": Named("Ablation: temporal tokens (LMM-VQA, Table VIII)", _correlations),
    "vcgbench": Named("VCGBench: scores of answers, from 0 to 5 (LMM-VQA, Table IX)", _benchmark),
    "field": Named("The field: methods of many papers, each tested as its column says", _correlations),
}


def _others(name: str) -> Sequence[Result]:
    if name == "levels":
        return published_level_accuracies()
    return [result for result in published_results() if _shown_in(name, result)]


def _shown_in(name: str, result: PublishedResult) -> bool:
    """A table has its own results; the field's has the LMM-VQA paper's of LMM-VQA itself, too."""
    own = result.method.startswith("LMM-VQA") and result.table in ("in-sample", "out-of-distribution")
    return result.table == name or (name == "field" and own)


def _headings(results: Sequence[Result]) -> dict[Place, str]:
    found = places(results)
    several = len({place.protocol for place in found}) > 1
    return {place: place.heading(with_protocol=several) for place in found}


def _values(
    row: Sequence[Result],
    headings: Mapping[Place, str],
    figures: Callable[[Result], Mapping[str, float | None]],
) -> dict[Column, Value]:
    return {
        Column(headings[Place.of(result)], what): Value(
            number,
            comparable(result),
            model=result.place.parent if isinstance(result, OwnResult) else None,
        )
        for result in row
        for what, number in figures(result).items()
        if number is not None
    }


def _pair(result: Result) -> dict[str, float | None]:
    return {} if isinstance(result, PublishedLevelAccuracy) else {"SRCC": result.srcc, "PLCC": result.plcc}


def _shares(result: Result) -> dict[str, float | None]:
    if isinstance(result, OwnResult):
        return {level.capitalize(): result.levels[level] for level in _LEVELS}
    return {level.capitalize(): getattr(result, level) for level in _LEVELS}


def _seconds(result: Result) -> dict[Column, Value]:
    seconds = result.seconds_per_video if isinstance(result, PublishedResult) else None
    return {} if seconds is None else {_SECONDS: Value(seconds, decimals=2)}


def _improvements(row: Sequence[Result], headings: Mapping[Place, str], texts: int) -> list[Row]:
    """Rows below an ablation's variant: by how much it is better than others."""
    found: dict[str, dict[Column, Value]] = {}
    for result in row:
        better = result.improvements if isinstance(result, PublishedResult) else None
        for over, shares in (better or {}).items():
            for what, share in zip(("SRCC", "PLCC"), shares, strict=True):
                found.setdefault(over, {})[Column(headings[Place.of(result)], what)] = Value(share)
    empty = ("",) * (texts - 1)
    return [Row((f"Improvement over {over}", *empty), values, source(row)) for over, values in found.items()]
