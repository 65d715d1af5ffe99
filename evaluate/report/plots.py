"""Plots as inline SVG: coloured by the page's own variables, so that they follow its light or dark theme."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from evaluate.metrics.scores import logistic_of
from store.labels.files import MosScale

Vector = NDArray[np.float64]

# Matplotlib knows no CSS variables: it draws in stand-in colours, which are replaced in the finished SVG.
_VARIABLES = {
    "#010203": "--ink",
    "#010204": "--muted",
    "#010205": "--line",
    "#010206": "--accent",
    "#010207": "--poor",
    "#010208": "--fair",
    "#010209": "--good",
    "#01020a": "--card",
}
_COLOUR = {variable.removeprefix("--"): stand_in for stand_in, variable in _VARIABLES.items()}
_LOOKS: Mapping[str, tuple[Literal["X", "v", "s", "o", "D"], str]] = {
    "bad": ("X", "poor"),
    "poor": ("v", "poor"),
    "fair": ("s", "fair"),
    "good": ("o", "good"),
    "excellent": ("D", "good"),
}
"""Level → marker and colour; other words have the accent's."""
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.size": 10,
    "axes.edgecolor": _COLOUR["line"],
    "axes.labelcolor": _COLOUR["muted"],
    "text.color": _COLOUR["muted"],
    "xtick.color": _COLOUR["line"],
    "ytick.color": _COLOUR["line"],
    "xtick.labelcolor": _COLOUR["muted"],
    "ytick.labelcolor": _COLOUR["muted"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _COLOUR["line"],
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}
_BINS_OF_SCALE = 20
_LEGEND_MARK = 5.8


def scatter(
    mos: Sequence[float], scores: Sequence[float], levels: Sequence[str | None], scale: MosScale
) -> str:
    """Scores against opinion scores, by true level, with the logistic map that PLCC is taken after."""
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(mos, dtype=np.float64)
    with style.context(_STYLE, after_reset=True):
        figure, axes = _figure(4.9)
        ends = [scale.low, scale.high]
        axes.plot(ends, ends, color=_COLOUR["muted"], linewidth=0.9, dashes=(1, 3), label="score = MOS")
        mapping = logistic_of(y, x)
        if mapping is not None:
            span = np.linspace(x.min(), x.max(), 200)
            axes.plot(
                span, mapping(span), color=_COLOUR["ink"], linewidth=1.8, label="logistic fit", zorder=3
            )
        size = float(np.clip(9000 / max(len(x), 1), 9, 34))
        for level in sorted(set(levels), key=lambda level: ([*_LOOKS, level].index(level), level or "")):
            chosen = np.array([own == level for own in levels], dtype=bool)
            marker, colour = _LOOKS.get(level or "", ("o", "accent"))
            axes.scatter(
                x[chosen],
                y[chosen],
                s=size,
                marker=marker,
                color=_COLOUR[colour],
                alpha=0.72,
                linewidths=0,
                label=level or "level unknown",
            )
        axes.set(xlabel="Expected score", ylabel="MOS", aspect="equal")
        axes.set_xlim(*_limits(x, scale))
        axes.set_ylim(*_limits(y, scale))
        axes.legend(
            loc="upper left",
            handletextpad=0.5,
            labelcolor=_COLOUR["ink"],
            borderaxespad=0.2,
            markerscale=_LEGEND_MARK / size**0.5,
        )
        return _svg(figure, "scatter", f"Scatter plot of expected score against MOS, {len(x)} videos")


def error_histogram(errors: Sequence[float], scale: MosScale) -> str:
    """How often the score is above or below the opinion score, by how much; a bin is 1/20 of the scale."""
    values = np.asarray(errors, dtype=np.float64)
    with style.context(_STYLE, after_reset=True):
        figure, axes = _figure(4.9)
        width = (scale.high - scale.low) / _BINS_OF_SCALE
        reach = max(4, int(np.abs(values).max(initial=0) // width) + 1)
        edges = width * np.arange(-reach, reach + 1)
        axes.hist(values, bins=edges.tolist(), color=_COLOUR["accent"], rwidth=0.9, alpha=0.85)
        axes.axvline(0, color=_COLOUR["muted"], linewidth=0.9, dashes=(1, 3))
        if len(values):
            mean = float(values.mean())
            axes.axvline(
                mean,
                color=_COLOUR["ink"],
                linewidth=1.8,
                label=f"mean {mean:+.{scale_decimals(scale)}f}".replace("-", "−"),
            )
            axes.legend(loc="upper left", labelcolor=_COLOUR["ink"], borderaxespad=0.2)
        axes.grid(visible=False, axis="x")
        axes.margins(y=0.16)
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
        axes.set(xlabel="Expected score − MOS", ylabel="Videos")
        return _svg(figure, "errors", f"Histogram of the errors of {len(values)} videos")


def _figure(height_inches: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, height_inches), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    return figure, axes


def scale_decimals(scale: MosScale) -> int:
    """Decimals that are worth showing of a score on this scale."""
    return 1 if scale.high - scale.low >= 20 else 2


def _limits(values: Vector, scale: MosScale) -> tuple[float, float]:
    """The scale, or wider where a value lies outside."""
    return float(values.min(initial=scale.low)), float(values.max(initial=scale.high))


def _svg(figure: Figure, name: str, title: str) -> str:
    """The figure as an element for a page, whose ids cannot clash with another figure's."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for stand_in, variable in _VARIABLES.items():
        svg = svg.replace(stand_in, f"var({variable})")
    # The page's font, at matplotlib's size
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\1{name}-", svg)
    namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    view = re.search(r'viewBox="[^"]*"', svg)
    inside = svg[svg.index(">") + 1 :].strip()
    return (
        f'<svg {namespaces} {view.group() if view else ""} role="img" aria-labelledby="{name}-title">'
        f'<title id="{name}-title">{title}</title>{inside}'
    )
