"""Charts of scores, errors, levels and standard deviations: from rows to figures, without any page."""

from collections.abc import Mapping, Sequence

import numpy as np

from evaluate.metrics.calibration import Calibration
from evaluate.metrics.scores import logistic_of
from evaluate.report.figures import (
    ACCENT,
    INK,
    LINE,
    MUTED,
    SIGNED,
    VIDEOS,
    Figure,
    Spec,
    diagonal,
    quantitative,
    rule,
    shown,
    video_mark,
)
from evaluate.report.numbers import number, scale_decimals, share, signed
from evaluate.report.rows import UNKNOWN_LEVEL, ScoredVideo
from evaluate.report.tables import Table
from store.labels.files import MosScale

_LOOKS: Mapping[str, tuple[str, str]] = {
    "bad": ("cross", "var(--poor)"),
    "poor": ("triangle-down", "var(--poor)"),
    "fair": ("square", "var(--fair)"),
    "good": ("circle", "var(--good)"),
    "excellent": ("diamond", "var(--good)"),
}
"""Level → shape and colour; other words have the accent's."""
_OTHER_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down")
_BINS_OF_SCALE = 20
_CURVE_POINTS = 100


def scatter(rows: Sequence[ScoredVideo], scale: MosScale) -> Figure:
    """Opinion scores against scores, by true level, with the logistic map that PLCC is taken after."""
    decimals = scale_decimals(scale)
    x, y = _limits([row.score for row in rows], scale), _limits([row.mos for row in rows], scale)
    curve = logistic_curve([row.score for row in rows], [row.mos for row in rows])
    levels = sorted({row.level for row in rows}, key=_rank)
    fit = "with the logistic map that PLCC is taken after" if curve else "too few for a logistic map"
    return Figure(
        name="scatter",
        title="MOS against predicted score",
        description=f"Scatter plot of the MOS against the predicted score of {len(rows)} videos, {fit}.",
        caption="Each mark is a video; its colour and shape tell the true level. On the dotted line, score"
        f" and MOS are equal{'; the solid curve is the logistic map' if curve else ''}. Point at a mark, or"
        " tap it, for its video.",
        spec={
            "height": 440,
            "layer": [diagonal(max(x[0], y[0]), min(x[1], y[1])), _points(levels, decimals, x, y), *curve],
        },
        table=None,
    )


def tooltip(decimals: int) -> list[Spec]:
    """What a mark tells about its video."""
    form = f".{decimals}f"
    return [
        shown("video", "Video"),
        shown("mos", "MOS", form),
        shown("score", "Score", form),
        shown("error", "Error", f"+.{decimals}f"),
        shown("level", "Level"),
        shown("level_pred", "Predicted"),
        shown("text", "Answer"),
        {"field": "image", "type": "nominal"},
    ]


def error_histogram(errors: Sequence[float], scale: MosScale, *, mapped: bool = False) -> Figure:
    """How often the score is above or below the opinion score, by how much; a bin is 1/20 of the scale.

    `mapped`: whether the errors are those of scores mapped onto the MOS.
    """
    before = "after the logistic map" if mapped else "before any fit"
    decimals = scale_decimals(scale)
    values = np.asarray(errors, dtype=np.float64)
    width = (scale.high - scale.low) / _BINS_OF_SCALE
    reach = max(4, int(np.abs(values).max(initial=0) // width) + 1)
    edges = width * np.arange(-reach, reach + 1)
    counts, _ = np.histogram(values, edges)
    bins = [
        {"from": round(low, 6), "to": round(high, 6), "videos": int(count)}
        for low, high, count in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    ]
    mean = float(values.mean()) if len(values) else None
    bars: Spec = {
        "mark": {"type": "bar", "color": ACCENT, "binSpacing": 2, "cornerRadiusEnd": 2},
        "encoding": {
            "x": {"field": "from", "bin": {"binned": True}, **_axis("Score − MOS")},
            "x2": {"field": "to"},
            "y": {"field": "videos", "type": "quantitative", "title": "Videos", "axis": {"tickMinStep": 1}},
            "tooltip": [
                shown("from", "From", f"+.{decimals}f"),
                shown("to", "To", f"+.{decimals}f"),
                shown("videos", "Videos"),
            ],
        },
    }
    of_mean = [] if mean is None else [rule("x", round(mean, 6), color=INK, strokeDash=[1, 0], strokeWidth=2)]
    return Figure(
        name="errors",
        title="Errors",
        description=f"Histogram of {len(values)} errors, with a mean of {signed(mean, decimals)}.",
        caption=f"Score minus MOS, {before}: to the right of 0 the model is too kind. The line is the mean,"
        f" {signed(mean, decimals)}.",
        spec={"data": {"values": bins}, "layer": [bars, rule("x", 0), *of_mean]},
        table=Table(
            ("From", "To", "Videos"),
            tuple((signed(b["from"], decimals), signed(b["to"], decimals), b["videos"]) for b in bins),
            frozenset({"From", "To", "Videos"}),
        ),
    )


def confusion(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """True level → predicted level → videos, shaded by the share of each true level's videos."""
    names = {guess: "no level" if guess == "none" else guess for row in counts.values() for guess in row}
    videos = sum(sum(row.values()) for row in counts.values())
    cells = [
        {
            "true": true,
            "predicted": names[guess],
            "videos": count,
            "share": round(count / max(1, sum(row.values())), 4),
        }
        for true, row in counts.items()
        for guess, count in row.items()
    ]
    axis = {"grid": False, "domain": False, "labelAngle": 0, "labelColor": INK}
    places: Spec = {
        "x": _ordinal("predicted", "Predicted level", list(names.values()), {**axis, "orient": "top"}),
        "y": _ordinal("true", "True level", list(counts), axis),
    }
    shading: Spec = {
        "field": "share",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "range": [0.04, 0.5]},
        "legend": None,
    }
    told = [
        shown("true", "True level"),
        shown("predicted", "Predicted"),
        shown("videos", "Videos"),
        shown("share", "Share", ".0%"),
    ]
    return Figure(
        name="confusion",
        title="Confusion of levels",
        description=f"Heatmap of true and predicted levels, {videos} videos.",
        caption="True levels in rows, predicted ones in columns: how many videos; the stronger the shade,"
        " the larger the share of the row.",
        spec={
            "height": 64 + 52 * len(counts),
            "data": {"values": cells},
            "encoding": places,
            "layer": [
                {
                    "mark": {"type": "rect", "color": ACCENT, "stroke": "var(--card)", "strokeWidth": 3},
                    "encoding": {"fillOpacity": shading, "tooltip": told},
                },
                {
                    "mark": {"type": "text", "color": INK, "fontSize": 14},
                    "encoding": {"text": {"field": "videos", "type": "quantitative"}},
                },
            ],
        },
        table=Table(
            ("True level", *names.values()),
            tuple((true, *row.values()) for true, row in counts.items()),
            frozenset(names.values()),
        ),
    )


def reliability(calibration: Calibration) -> Figure:
    """The share of opinion scores that intervals hold, against the share that they should hold."""
    points = [{"should": 0, "does": 0}, *_reliability_points(calibration), {"should": 1, "does": 1}]
    line: Spec = {
        "data": {"values": points},
        "mark": {
            "type": "line",
            "color": ACCENT,
            "strokeWidth": 2,
            "point": {"color": ACCENT, "size": 36, "filled": True, "opacity": 1},
        },
        "encoding": {
            "x": _shares("should", "Share that the interval should hold"),
            "y": _shares("does", "Share that it holds"),
            "tooltip": [shown("should", "Should hold", ".0%"), shown("does", "Holds", ".1%")],
        },
    }
    error = number(calibration.error, 3)
    return Figure(
        name="reliability",
        title="Reliability of the standard deviations",
        description=f"Reliability curve of {calibration.videos} videos; its mean distance from the diagonal"
        f" is {error}.",
        caption="Shares of the MOS within normal intervals around the score. On the dotted line the standard"
        f" deviations are right, below it too small. Mean distance (calibration error): {error}.",
        spec={"layer": [diagonal(0, 1), line]},
        table=Table(
            ("Should hold", "Holds"),
            tuple((share(should), f"{100 * does:.1f} %") for should, does in calibration.curve),
            frozenset({"Should hold", "Holds"}),
        ),
    )


def _points(levels: Sequence[str], decimals: int, x: tuple[float, float], y: tuple[float, float]) -> Spec:
    looks = [_look(level, index) for index, level in enumerate(levels)]
    domain = {"field": "level", "type": "nominal", "title": "True level"}
    return {
        "data": {"name": VIDEOS},
        "mark": video_mark(48, 0.75),
        "encoding": {
            "x": quantitative("score", "Predicted score", x),
            "y": quantitative("mos", "MOS", y),
            "color": {**domain, "scale": {"domain": list(levels), "range": [colour for _, colour in looks]}},
            "shape": {**domain, "scale": {"domain": list(levels), "range": [shape for shape, _ in looks]}},
            "tooltip": tooltip(decimals),
        },
    }


def logistic_curve(scores: Sequence[float], mos: Sequence[float]) -> list[Spec]:
    """The map that PLCC is taken after, as a layer; none where there are too few videos."""
    x, y = np.array(scores, dtype=np.float64), np.array(mos, dtype=np.float64)
    mapping = logistic_of(y, x) if len(x) else None
    if mapping is None:
        return []
    span = np.linspace(x.min(), x.max(), _CURVE_POINTS)
    values = [
        {"x": round(score, 5), "y": round(mos, 5)}
        for score, mos in zip(span.tolist(), mapping(span).tolist(), strict=True)
    ]
    return [
        {
            "data": {"values": values},
            "mark": {"type": "line", "color": INK, "strokeWidth": 2, "aria": False, "tooltip": None},
            "encoding": {
                "x": {"field": "x", "type": "quantitative"},
                "y": {"field": "y", "type": "quantitative"},
            },
        }
    ]


def _reliability_points(calibration: Calibration) -> list[dict[str, float]]:
    return [{"should": round(should, 4), "does": round(does, 4)} for should, does in calibration.curve]


def _limits(values: Sequence[float], scale: MosScale) -> tuple[float, float]:
    """The scale, or wider where a value lies outside."""
    return min([scale.low, *values]), max([scale.high, *values])


def _rank(level: str) -> tuple[int, str]:
    known = [*_LOOKS]
    return (known.index(level) if level in known else len(known) + (level == UNKNOWN_LEVEL), level)


def _look(level: str, index: int) -> tuple[str, str]:
    if level == UNKNOWN_LEVEL:
        return ("circle", MUTED)
    return _LOOKS.get(level, (_OTHER_SHAPES[index % len(_OTHER_SHAPES)], ACCENT))


def _axis(title: str) -> Spec:
    axis = {"grid": False, "format": SIGNED, "domainColor": LINE}
    return {"type": "quantitative", "title": title, "axis": axis}


def _shares(field: str, title: str) -> Spec:
    return quantitative(field, title, (0, 1), axis={"format": ".0%"})


def _ordinal(field: str, title: str, order: Sequence[str], axis: Spec) -> Spec:
    scale = {"paddingInner": 0, "paddingOuter": 0}
    return {
        "field": field,
        "type": "ordinal",
        "title": title,
        "sort": list(order),
        "axis": axis,
        "scale": scale,
    }
