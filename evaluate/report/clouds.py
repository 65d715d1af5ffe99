"""Opinion scores against scores of any model, as a chart; several such charts share one set of rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluate.report.charts import logistic_curve
from evaluate.report.figures import ACCENT, VIDEOS, Figure, Spec, quantitative, shown, video_mark
from evaluate.report.rows import sample

_OF_MARKUP, _OF_NUMBER = 40, 14
"""Bytes that a row takes on the page beside its name: in all, and for each number."""
_DIGITS = 6
"""Significant ones: models score on scales of any size."""


def cloud(key: str, title: str, scores: Sequence[float], mos: Sequence[float], mos_key: str) -> Figure:
    """Of the shared rows' fields `key` and `mos_key`; the curve is fitted to all `scores` and `mos`."""
    told = [shown("video", "Video"), shown(mos_key, "MOS", ".4~g"), shown(key, "Score", ".4~g")]
    points: Spec = {
        "data": {"name": VIDEOS},
        "transform": [{"filter": f"isValid(datum.{key}) && isValid(datum.{mos_key})"}],
        "mark": video_mark(34, 0.6, color=ACCENT),
        "encoding": {"x": quantitative(key, "Score"), "y": quantitative(mos_key, "MOS"), "tooltip": told},
    }
    curve = logistic_curve(scores, mos)
    with_curve = " The curve is the logistic map that PLCC is taken after." if curve else ""
    return Figure(
        name=f"scores-{key}",
        title=title,
        description=f"Scatter plot of the MOS against the scores of {title}, {len(scores)} videos.",
        caption=f"Point at a mark, or tap it, for its video.{with_curve}",
        spec={"height": 300, "layer": [points, *curve]},
        table=None,
    )


def shared_rows(columns: Mapping[str, Mapping[str, float]]) -> tuple[list[dict[str, Any]], str]:
    """Rows of numbers by key and video for the charts, and a note where the page can hold a sample only."""
    videos = list(dict.fromkeys(video for column in columns.values() for video in column))
    each = _OF_MARKUP + _OF_NUMBER * len(columns)
    drawn = sample({video: each + len(video.encode(errors="replace")) for video in videos})
    rows = [
        {"video": video, **{k: float(f"{c[video]:.{_DIGITS}g}") for k, c in columns.items() if video in c}}
        for video in videos
        if video in drawn
    ]
    note = (
        f"The marks are a sample of {len(rows)} of the {len(videos)} videos; curves and figures are of all."
    )
    return rows, "" if len(rows) == len(videos) else note
