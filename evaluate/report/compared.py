"""The page of a comparison: models by agreement, each model's scores, the pairs, where two differ most."""

from typing import Any

from evaluate.metrics.scores import correlated
from evaluate.report.agreement import comparison_notes, comparison_table, pairs_table
from evaluate.report.clouds import cloud, shared_rows
from evaluate.report.figures import ACCENT, INK, Figure, Spec, quantitative, shown
from evaluate.report.material import NamedTable, Section, StudyPage
from evaluate.report.tables import Table
from evaluate.results.comparison import Comparison

_DIFFERENT = 10
_DIGITS = 4


def comparison_page(comparison: Comparison, title: str) -> StudyPage:
    """All that the tables say, with charts whose marks name their videos."""
    keys = {model: f"m{i}" for i, model in enumerate(comparison.models)}
    columns = {"mos": comparison.mos, **{key: comparison.scores[model] for model, key in keys.items()}}
    by_video = {key: dict(zip(comparison.videos, values, strict=True)) for key, values in columns.items()}
    rows, note = shared_rows(by_video)
    clouds = [
        cloud(key, model, comparison.scores[model], comparison.mos, "mos") for model, key in keys.items()
    ]
    sections = [
        Section(
            "Agreement with the opinion scores",
            [_intervals(comparison)],
            [NamedTable("Models, best first", comparison_table(comparison))],
        ),
        Section("Scores", clouds, note=note),
        Section(
            "Every two models",
            tables=[NamedTable("Differences of SRCC, and what they are worth", pairs_table(comparison))],
        ),
    ]
    if (different := _differences(comparison)) is not None:
        table = NamedTable("Scores mapped onto the MOS", different)
        sections.append(Section("Where the two best differ most", tables=[table]))
    return StudyPage(
        kind="Comparison of models",
        title=title,
        facts={"Models": str(len(keys)), "Videos": f"{len(comparison.videos)} of {comparison.labelled}"},
        sections=sections,
        remarks=comparison_notes(comparison),
        videos=rows,
        told={"mos": "MOS", **{key: model for model, key in keys.items()}},
    )


def _intervals(comparison: Comparison) -> Figure:
    """SRCC of each model with its 95 % interval, best above."""
    values: list[dict[str, Any]] = []
    for model in comparison.models:
        srcc, interval = comparison.metrics[model].srcc, comparison.intervals[model].srcc
        if srcc is None:
            continue
        ends = {} if interval is None else {"low": _round(interval[0]), "high": _round(interval[1])}
        values.append({"model": model, "srcc": _round(srcc), **ends})
    y: Spec = {
        "field": "model",
        "type": "nominal",
        "sort": [value["model"] for value in values],
        "title": None,
        "axis": {"grid": False, "domain": False, "labelColor": INK, "labelLimit": 220},
    }
    x = quantitative("srcc", "SRCC")
    told = [
        shown("model", "Model"),
        shown("srcc", "SRCC", ".4f"),
        shown("low", "from", ".4f"),
        shown("high", "to", ".4f"),
    ]
    span: Spec = {
        "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
        "mark": {"type": "rule", "color": ACCENT, "strokeWidth": 2, "aria": False},
        "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
    }
    point: Spec = {
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "color": ACCENT},
        "encoding": {"y": y, "x": x, "tooltip": told},
    }
    return Figure(
        name="srcc",
        title="SRCC with its 95 % interval",
        description=f"SRCC of {len(values)} models with bootstrap intervals, best first.",
        caption="Intervals that overlap may belong to models whose difference is significant: the pairs below"
        " say which are.",
        spec={"height": 40 + 34 * len(values), "data": {"values": values}, "layer": [span, point]},
        table=None,
    )


def _differences(comparison: Comparison) -> Table | None:
    """The videos on which the two best models differ most, both mapped onto the opinion scores."""
    first, second = comparison.models[:2]
    mos = comparison.mos
    one, other = (correlated(mos, comparison.scores[model]) for model in (first, second))
    if one is None or other is None:
        return None
    apart = sorted(range(len(mos)), key=lambda i: (-abs(float(one[i] - other[i])), comparison.videos[i]))
    rows = tuple(
        (comparison.videos[i], *(f"{value:.4g}" for value in (mos[i], one[i], other[i])))
        for i in apart[:_DIFFERENT]
    )
    headers = ("Video", "MOS", f"{first}, mapped", f"{second}, mapped")
    return Table(headers, rows, frozenset(headers[1:]))


def _round(value: float) -> float:
    return round(value, _DIGITS)
