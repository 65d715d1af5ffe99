"""What a figure costs: SRCC against tokens, the share of the data, or seconds a video, as a chart."""

from evaluate.report.figures import ACCENT, INK, Figure, Spec, finite, quantitative, shown
from evaluate.report.material import Curve, CurvePoint
from evaluate.report.tables import Table

_COLOURS = (ACCENT, "var(--poor)", "var(--good)", "var(--fair)", INK)


def curve_figure(curve: Curve, name: str) -> Figure:
    """The curve as a figure with the id `name`; points that are not finite are left out, and said so."""
    points = [point for point in curve.points if finite(point.x, point.y)]
    left_out = len(curve.points) - len(points)
    caption = " ".join(
        text for text in (curve.note, f"{left_out} without figures are left out." if left_out else "") if text
    )
    return Figure(
        name=name,
        title=curve.title,
        description=f"{curve.title}: {curve.y} against {curve.x.lower()}, {len(points)} points.",
        caption=caption,
        spec={
            "height": 340,
            "data": {"values": [_datum(point) for point in points]},
            "layer": _layers(curve, points),
        },
        table=_table(curve, points),
    )


def _layers(curve: Curve, points: list[CurvePoint]) -> list[Spec]:
    scale = (
        {"type": "log", "nice": False, "padding": 24}
        if curve.logarithmic
        else {"zero": False, "nice": True, "padding": 24}
    )
    x: Spec = {
        "field": "x",
        "type": "quantitative",
        "title": curve.x,
        "scale": scale,
        "axis": {"grid": False},
    }
    y = quantitative("y", curve.y)
    series = list(dict.fromkeys(point.series for point in points))
    colour: Spec = {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": series, "range": [_COLOURS[i % len(_COLOURS)] for i in range(len(series))]},
        "legend": None if series in ([], [""]) else {"title": None},
    }
    told = [
        shown("name", "Name"),
        *([shown("series", "Series")] if series not in ([], [""]) else []),
        shown("x", curve.x, ".4~g"),
        shown("y", curve.y, ".3f"),
        *([shown("interval", curve.interval)] if any(point.low is not None for point in points) else []),
    ]
    place = {"x": x, "y": y, "color": colour}
    intervals: Spec = {
        "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
        "mark": {"type": "rule", "opacity": 0.6, "aria": False},
        "encoding": {**place, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
    }
    line: Spec = {
        "mark": {"type": "line", "strokeWidth": 2, "aria": False, "tooltip": None},
        "encoding": place,
    }
    marks: Spec = {
        "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
        "encoding": {**place, "tooltip": told},
    }
    names: Spec = {
        "mark": {"type": "text", "dy": -12, "color": INK, "fontSize": 12, "aria": False},
        "encoding": {"x": x, "y": y, "text": {"field": "name", "type": "nominal"}},
    }
    return [intervals, line, marks, names]


def _datum(point: CurvePoint) -> dict[str, float | str | None]:
    between = {}
    if point.low is not None and point.high is not None and finite(point.low, point.high):
        between = {"low": point.low, "high": point.high, "interval": _interval(point)}
    return {"x": point.x, "y": point.y, "name": point.name, "series": point.series, **between}


def _interval(point: CurvePoint) -> str | None:
    return None if point.low is None or point.high is None else f"{point.low:.3f} – {point.high:.3f}"


def _table(curve: Curve, points: list[CurvePoint]) -> Table:
    return Table(
        ("Name", "Series", curve.x, curve.y, curve.interval),
        tuple((p.name, p.series or None, f"{p.x:.4g}", p.y, _interval(p)) for p in points),
        frozenset({curve.x, curve.y}),
    )
