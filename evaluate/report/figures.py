"""A chart on the page: a Vega-Lite specification, what it says in words, and its figures as a table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluate.report.tables import Table

Spec = dict[str, Any]
"""A Vega-Lite view, without its size."""

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
INK, MUTED, LINE, ACCENT = "var(--ink)", "var(--muted)", "var(--line)", "var(--accent)"
"""The page's own colours: charts are SVG, which follows the page's theme by itself."""
SIGNED = "+.2~f"
"""d3's format of differences: a sign, and no zeros that say nothing."""
VIDEOS = "videos"
"""The name of the rows that several charts share."""


@dataclass(frozen=True)
class Figure:
    """One chart."""

    name: str
    """An id that no other figure of the page has."""
    title: str
    description: str
    """What there is to see, for those who do not see it."""
    caption: str
    spec: Spec
    table: Table | None
    """The chart's figures; None where they are those of the table of all videos."""

    def as_vega_lite(self) -> Spec:
        """The whole specification: as wide as its place, in the page's fonts and colours."""
        size = {"width": "container", "height": 300} | {k: v for k, v in self.spec.items() if k == "height"}
        return {
            "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
            "description": self.description,
            "background": "transparent",
            "autosize": {"type": "fit-x", "contains": "padding"},
            "config": _CONFIG,
            **self.spec,
            **size,
        }


def quantitative(field: str, title: str, domain: Sequence[float] | None = None, **further: Any) -> Spec:
    """A channel of numbers; the domain is the scale's, or wide enough for the data."""
    scale: Spec = {"zero": False, "nice": True} if domain is None else {"domain": list(domain), "nice": False}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, **further}


def shown(field: str, title: str, format: str | None = None) -> Spec:
    """A line of a tooltip: a number by the format of d3, or a text as it is."""
    if format is None:
        return {"field": field, "type": "nominal", "title": title}
    return {"field": field, "type": "quantitative", "title": title, "format": format}


def video_mark(size: int, opacity: float, **further: Any) -> Spec:
    """The mark of a video, which names it when it is pointed at or tapped."""
    common = {"type": "point", "filled": True, "cursor": "pointer", "aria": False}
    return {**common, "size": size, "opacity": opacity, **further}


def rule(axis: str, value: float, **style: Any) -> Spec:
    """A line across the chart where the axis has that value."""
    mark = {"type": "rule", "color": MUTED, "strokeDash": [2, 3], "aria": False, **style}
    return {"data": {"values": [{}]}, "mark": mark, "encoding": {axis: {"datum": value}}}


def diagonal(low: float, high: float) -> Spec:
    """A line of what is right."""
    ends = [{"x": low, "y": low}, {"x": high, "y": high}]
    return {
        "data": {"values": ends},
        "mark": {"type": "line", "color": MUTED, "strokeDash": [2, 3], "strokeWidth": 1.2, "aria": False},
        "encoding": {
            "x": {"field": "x", "type": "quantitative"},
            "y": {"field": "y", "type": "quantitative"},
        },
    }


def finite(*values: float | None) -> bool:
    """Whether all are numbers that can be drawn."""
    return all(value is not None and math.isfinite(value) for value in values)


_AXIS: Mapping[str, Any] = {
    "domainColor": LINE,
    "gridColor": LINE,
    "tickColor": LINE,
    "labelColor": MUTED,
    "titleColor": MUTED,
    "labelFont": FONT,
    "titleFont": FONT,
    "labelFontSize": 12,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "titlePadding": 10,
    "labelPadding": 6,
    "labelLimit": 150,
    "labelOverlap": True,
    "ticks": False,
    "tickCount": 6,
}
_CONFIG: Spec = {
    "font": FONT,
    "view": {"stroke": None},
    "axis": dict(_AXIS),
    "legend": {
        "labelColor": INK,
        "titleColor": MUTED,
        "labelFont": FONT,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "symbolOpacity": 1,
        "orient": "top",
        "columns": 3,
        "offset": 10,
    },
}
