"""Errors against what is known of the videos: where a model is too kind, where too strict."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import numpy as np

from evaluate.report.charts import tooltip
from evaluate.report.figures import ACCENT, INK, SIGNED, VIDEOS, Figure, Spec, quantitative, rule, video_mark
from evaluate.report.numbers import scale_decimals, signed
from evaluate.report.rows import ScoredVideo
from evaluate.report.tables import Table
from store.labels.files import MosScale

_FEW = 8
"""Numbers that take at most so many values are shown as groups."""
_MOST_GROUPS = 20
_BINS = 6
_LEAST_IN_BIN = 5
_TITLE = "Score − MOS"

Fact = Callable[[ScoredVideo], float | str | None]


@dataclass(frozen=True)
class _Dimension:
    name: str
    title: str
    axis: str
    read: Fact


@dataclass(frozen=True)
class _Group:
    name: str
    errors: Sequence[float]
    place: float | None = None
    """Of a stretch of numbers, the mean."""

    @property
    def mean(self) -> float:
        return fmean(self.errors)


_DIMENSIONS = (
    _Dimension("mos", "By opinion score", "MOS", lambda row: row.mos),
    _Dimension("resolution", "By resolution", "Shorter side in pixels", lambda row: row.facts.lines),
    _Dimension("rate", "By frame rate", "Frames a second", lambda row: _rounded(row.facts.fps, 2)),
    _Dimension("length", "By length", "Seconds", lambda row: _rounded(row.facts.seconds, 1)),
    _Dimension(
        "content", "By content", "Content", lambda row: row.facts.group or row.row.extra.get("content")
    ),
    _Dimension("distortion", "By distortion", "Distortion", lambda row: row.row.extra.get("distortion")),
)


def residuals(
    rows: Sequence[ScoredVideo], drawn: Sequence[ScoredVideo], scale: MosScale
) -> tuple[list[Figure], dict[str, Mapping[str, float | str]]]:
    """A figure for each fact that is known of some of the videos and differs between them.

    `drawn` are those of the rows that charts show as marks; means are of all. Also gives video → fact →
    value, for the rows that the charts share.
    """
    figures: list[Figure] = []
    values: dict[str, dict[str, float | str]] = {row.row.video: {} for row in drawn}
    for dimension in _DIMENSIONS:
        known = [(value, row.error) for row in rows if (value := dimension.read(row)) is not None]
        if len({value for value, _ in known}) < 2:
            continue
        figures.append(_figure(dimension, known, scale))
        for row in drawn:
            if dimension.name != "mos" and (value := dimension.read(row)) is not None:
                values[row.row.video][dimension.name] = value
    return figures, dict(values)


def _figure(dimension: _Dimension, known: Sequence[tuple[float | str, float]], scale: MosScale) -> Figure:
    numbers = [(value, error) for value, error in known if not isinstance(value, str)]
    continuous = len(numbers) == len(known) and len({value for value, _ in known}) > _FEW
    groups = _stretches(numbers) if continuous else _groups(known)
    shown_groups = groups if continuous else _telling(groups)
    decimals = scale_decimals(scale)
    what = "line: means of stretches with as many videos each" if continuous else "bar: mean of the group"
    fewer = (
        f" Shown are the {len(shown_groups)} of {len(groups)} groups with the largest mean errors."
        if len(shown_groups) < len(groups)
        else ""
    )
    draw = _over_numbers if continuous else _over_groups
    return Figure(
        name=f"residual-{dimension.name}",
        title=dimension.title,
        description=f"Errors of {len(known)} videos by {dimension.axis.lower()}; the mean error goes from"
        f" {signed(min(g.mean for g in groups), decimals)} to"
        f" {signed(max(g.mean for g in groups), decimals)}.",
        caption=f"{len(known)} videos; {what}.{fewer}",
        spec=draw(dimension, shown_groups, decimals),
        table=Table(
            (dimension.axis, "Videos", "Mean error", "Mean size of the error"),
            tuple(
                (
                    group.name,
                    len(group.errors),
                    signed(group.mean, decimals),
                    f"{fmean(abs(error) for error in group.errors):.{decimals}f}",
                )
                for group in groups
            ),
            frozenset({"Videos", "Mean error", "Mean size of the error"}),
        ),
    )


def _stretches(known: Sequence[tuple[float, float]]) -> list[_Group]:
    """As many videos in each, as far as equal values allow."""
    values = np.array([value for value, _ in known])
    count = max(1, min(_BINS, len(known) // _LEAST_IN_BIN))
    edges = np.unique(np.quantile(values, np.linspace(0, 1, count + 1))).tolist()
    groups = []
    for low, high in pairwise(edges):
        last = high == edges[-1]
        inside = [(v, error) for v, error in known if low <= v < high or (last and v == high)]
        if inside:
            name = f"{low:.4g} – {high:.4g}"
            groups.append(_Group(name, [error for _, error in inside], fmean(v for v, _ in inside)))
    return groups


def _groups(known: Sequence[tuple[float | str, float]]) -> list[_Group]:
    """Numbers in their order, words in the alphabet's."""
    names = sorted({value for value, _ in known}, key=lambda v: (isinstance(v, str), v))
    return [_Group(_named(name), [error for value, error in known if value == name]) for name in names]


def _telling(groups: Sequence[_Group]) -> list[_Group]:
    chosen = sorted(groups, key=lambda group: (-abs(group.mean), group.name))[:_MOST_GROUPS]
    return [group for group in groups if group in chosen]


def _over_numbers(dimension: _Dimension, groups: Sequence[_Group], decimals: int) -> Spec:
    means = [{"x": round(group.place or 0, 4), "y": round(group.mean, 4)} for group in groups]
    line: Spec = {
        "data": {"values": means},
        "mark": {
            "type": "line",
            "color": INK,
            "strokeWidth": 2,
            "point": {"color": INK, "size": 30, "filled": True, "opacity": 1},
            "tooltip": None,
            "aria": False,
        },
        "encoding": {
            "x": {"field": "x", "type": "quantitative"},
            "y": {"field": "y", "type": "quantitative"},
        },
    }
    x = quantitative(dimension.name, dimension.axis, axis={"grid": False})
    return {"layer": [_marks(dimension, x, _errors("y"), decimals), rule("y", 0), line]}


def _over_groups(dimension: _Dimension, groups: Sequence[_Group], decimals: int) -> Spec:
    names = [group.name for group in groups]
    means = [{"group": group.name, "mean": round(group.mean, 4)} for group in groups]
    axis = {"grid": False, "labelColor": INK}
    places: Spec = {"type": "nominal", "title": dimension.axis, "scale": {"domain": names}, "axis": axis}
    marks = _marks(dimension, _errors("x"), {"field": "named", **places}, decimals)
    marks["transform"] = [
        {"calculate": f"toString(datum[{dimension.name!r}])", "as": "named"},
        {"filter": {"field": "named", "oneOf": names}},
    ]
    bars: Spec = {
        "data": {"values": means},
        "mark": {"type": "tick", "color": INK, "thickness": 3, "size": 18, "tooltip": None},
        "encoding": {
            "x": {"field": "mean", "type": "quantitative"},
            "y": {"field": "group", **places},
        },
    }
    return {"height": max(120, 60 + 30 * len(names)), "layer": [marks, rule("x", 0), bars]}


def _marks(dimension: _Dimension, x: Spec, y: Spec, decimals: int) -> Spec:
    return {
        "data": {"name": VIDEOS},
        "transform": [{"filter": f"isValid(datum[{dimension.name!r}])"}],
        "mark": video_mark(30, 0.45, color=ACCENT),
        "encoding": {"x": x, "y": y, "tooltip": tooltip(decimals)},
    }


def _errors(axis: str) -> Spec:
    return quantitative("error", _TITLE, axis={"format": SIGNED, "grid": axis == "y"})


def _named(value: float | str) -> str:
    """As JavaScript writes it, too."""
    return value if isinstance(value, str) else f"{value:.10g}"


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None else round(value, decimals)
