"""One self-contained HTML page about a run's predictions on one split."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluate.metrics.scores import Interval, Metrics
from evaluate.report.plots import error_histogram, scale_decimals, scatter
from evaluate.report.tables import NOTHING, Table
from evaluate.results.predictions import PredictedVideo
from store.durable.commit import make_folders, write_file
from store.labels.files import MosScale

_WORST = 10
_POINTS = MosScale(0.0, 100.0)
_TILES = ("srcc", "plcc", "krcc", "rmse")
_MODES = {
    "expected": "the probability-weighted mean of all scores",
    "generate": "the score that the written answer states",
}


@dataclass(frozen=True)
class Report:
    """All that the page shows; scores, MOS, standard deviations and RMSE in units of `scale`."""

    title: str
    """The run's name."""
    dataset: str
    split: str
    rows: Sequence[PredictedVideo]
    expected: Metrics
    generate: Metrics
    """Of the videos whose answer states a score."""
    intervals: Mapping[str, Interval | None]
    """Bootstrap 95 % intervals: `expected_srcc`, `expected_plcc`, `generate_srcc`, `generate_plcc`."""
    parse_failures: int
    """Videos whose written answer states no score."""
    level_accuracy: Mapping[str, float | None]
    """Level → share classified correctly, with `total`."""
    confusion: Mapping[str, Mapping[str, int]]
    """True level → predicted level → videos."""
    comparison: Table
    notes: Sequence[str] = ()
    """What the reader must know before the figures, such as random weights."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Resolved settings, feature keys, versions, seeds… in any JSON form; the only place for a date."""
    scale: MosScale = _POINTS
    """(worst, best) of the rows' opinion scores."""


@dataclass(frozen=True)
class _Tile:
    name: str
    value: str
    interval: str | None


@dataclass(frozen=True)
class _Mode:
    name: str
    meaning: str
    n: int
    note: str | None
    tiles: list[_Tile]


@dataclass(frozen=True)
class _WorstVideo:
    video: str
    mos: str
    score: str
    error: str
    level: str | None
    level_pred: str | None
    text: str


def write_report(path: Path, report: Report) -> None:
    """Write the page, its folder too if need be. The same report gives the same bytes."""
    make_folders(path.parent)
    write_file(path, render_report(report).encode())


def render_report(report: Report) -> str:
    """The page as text: CSS and plots inline, nothing fetched; whatever a model wrote is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scored = [(row, row.mos, row.score) for row in report.rows if None not in (row.mos, row.score)]
    mos = [float(mos) for _, mos, _ in scored if mos is not None]
    scores = [float(score) for _, _, score in scored if score is not None]
    errors = [score - own for score, own in zip(scores, mos, strict=True)]
    return environment.get_template("page.html.jinja").render(
        report=report,
        modes=[_mode(report, "expected", report.expected), _mode(report, "generate", report.generate)],
        scatter=Markup(scatter(mos, scores, [row.level for row, _, _ in scored], report.scale)),
        histogram=Markup(error_histogram(errors, report.scale)),
        unscored=len(report.rows) - len(scored),
        accuracies={level: (share, _share(share)) for level, share in report.level_accuracy.items()},
        confusion={level: _shaded(counts) for level, counts in report.confusion.items()},
        worst=_worst([row for row, _, _ in scored], errors, scale_decimals(report.scale)),
        short={key: str(value) for key, value in report.provenance.items() if not _is_nested(value)},
        long={key: _json(value) for key, value in report.provenance.items() if _is_nested(value)},
    )


def _mode(report: Report, name: str, metrics: Metrics) -> _Mode:
    tiles = []
    for key in _TILES:
        decimals = 1 + scale_decimals(report.scale) if key == "rmse" else 3
        value: float | None = getattr(metrics, key)
        interval = report.intervals.get(f"{name}_{key}")
        span = (
            None
            if interval is None
            else f"{_number(interval[0], decimals)} – {_number(interval[1], decimals)}"
        )
        tiles.append(_Tile(key.upper(), _number(value, decimals), span))
    return _Mode(name, _MODES[name], metrics.n, metrics.note, tiles)


def _worst(rows: Sequence[PredictedVideo], errors: Sequence[float], decimals: int) -> list[_WorstVideo]:
    order = sorted(range(len(rows)), key=lambda index: (-abs(errors[index]), rows[index].video))[:_WORST]
    return [
        _WorstVideo(
            rows[index].video,
            _number(rows[index].mos, decimals),
            _number(rows[index].score, decimals)
            + ("" if rows[index].std is None else f" ± {_number(rows[index].std, decimals)}"),
            f"{errors[index]:+.{decimals}f}".replace("-", "−"),
            rows[index].level,
            rows[index].level_pred,
            rows[index].text or NOTHING,
        )
        for index in order
    ]


def _shaded(counts: Mapping[str, int]) -> dict[str, tuple[int, float]]:
    """Predicted level → videos, and their share of the row in 0–1."""
    whole = sum(counts.values())
    return {level: (count, count / whole if whole else 0.0) for level, count in counts.items()}


def _number(value: float | None, decimals: int) -> str:
    return NOTHING if value is None else f"{value:.{decimals}f}".replace("-", "−")


def _share(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.0f} %"


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
