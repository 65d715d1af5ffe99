"""One self-contained HTML page about a run's predictions on one split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from evaluate.metrics.calibration import Calibration, calibration_of
from evaluate.metrics.scores import Metrics
from evaluate.report.charts import confusion, error_histogram, reliability, scatter
from evaluate.report.figures import Figure
from evaluate.report.material import Report
from evaluate.report.numbers import number, scale_decimals, share, signed
from evaluate.report.residuals import residuals
from evaluate.report.rows import TOLD, ScoredVideo, fitting, scored_videos, table_of
from evaluate.report.shell import render_page, short_and_long, write_page
from evaluate.report.tables import NOTHING, Table
from evaluate.report.thumbnails import FRAMES, LONGEST_SECONDS, strips

_WORST = 10
_MOST_NAMES = 20
_TILES = ("srcc", "plcc", "krcc", "rmse")
_MODES = {
    "expected": "the probability-weighted mean of all scores",
    "generate": "the score that the written answer states",
}


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
    facts: dict[str, str]
    text: str
    picture: Markup | None


@dataclass(frozen=True)
class _Charts:
    """All figures of the page, by the section that they stand in."""

    scores: list[Figure]
    levels: list[Figure]
    residuals: list[Figure]
    spread: list[Figure]

    @property
    def figures(self) -> list[Figure]:
        """Every one."""
        return [*self.scores, *self.levels, *self.residuals, *self.spread]


def write_report(path: Path, report: Report) -> None:
    """Write the page, its folder too if need be. The same report gives the same bytes."""
    write_page(path, render_report(report))


def render_report(report: Report) -> str:
    """The page as text. Decodes the worst videos, as far as their files are there."""
    rows = scored_videos(report.rows, dict(report.facts))
    worst = sorted(rows, key=lambda row: (-abs(row.error), row.row.video))[:_WORST]
    drawn = fitting(rows, worst)
    calibration = _calibration(rows)
    charts, facts = _charts(report, rows, drawn, calibration)
    decimals = scale_decimals(report.scale)
    pictures, faults = strips(
        {r.row.video: report.files[r.row.video] for r in worst if r.row.video in report.files}
    )
    short, long = short_and_long(report.provenance)
    return render_page(
        "page.html.jinja",
        charts.figures,
        [{**row.as_json(decimals), **facts.get(row.row.video, {})} for row in drawn],
        TOLD,
        report=report,
        modes=[_mode(report, "expected", report.expected), _mode(report, "generate", report.generate)],
        left_out=_left_out(report, len(rows)),
        charts=charts,
        drawn=len(drawn),
        scored=len(rows),
        table_of_videos=table_of(drawn, report.scale),
        accuracies={level: share(of) for level, of in report.level_accuracy.items()},
        coverage=None if calibration is None else _coverage(calibration),
        worst=[_worst(row, pictures.get(row.row.video), decimals) for row in worst],
        pictures=_pictures(worst, pictures, faults),
        short=short,
        long=long,
    )


def _charts(
    report: Report, rows: Sequence[ScoredVideo], drawn: Sequence[ScoredVideo], calibration: Calibration | None
) -> tuple[_Charts, dict[str, Mapping[str, float | str]]]:
    by_facts, facts = residuals(rows, drawn, report.scale)
    return (
        _Charts(
            scores=[scatter(rows, report.scale), error_histogram([row.error for row in rows], report.scale)],
            levels=[confusion(report.confusion)] if report.confusion else [],
            residuals=by_facts,
            spread=[] if calibration is None else [reliability(calibration)],
        ),
        facts,
    )


def _calibration(rows: Sequence[ScoredVideo]) -> Calibration | None:
    return calibration_of(
        [row.mos for row in rows], [row.score for row in rows], [row.row.std for row in rows]
    )


def _coverage(calibration: Calibration) -> Table:
    return Table(
        ("Interval", "Should hold", "Holds"),
        tuple(
            (f"{held} %", f"{held} %", f"{100 * found:.1f} %") for held, found in calibration.coverage.items()
        ),
        frozenset({"Should hold", "Holds"}),
    )


def _left_out(report: Report, scored: int) -> list[str]:
    """What is not among the figures, and why."""
    lines = []
    if report.missing:
        names = ", ".join(report.missing[:_MOST_NAMES])
        more = "" if len(report.missing) <= _MOST_NAMES else f" and {len(report.missing) - _MOST_NAMES} more"
        lines.append(f"{len(report.missing)} labelled without features: {names}{more}")
    if scored < len(report.rows):
        lines.append(f"{len(report.rows) - scored} without a score or MOS are not shown")
    return lines


def _mode(report: Report, name: str, metrics: Metrics) -> _Mode:
    tiles = []
    for key in _TILES:
        decimals = 1 + scale_decimals(report.scale) if key == "rmse" else 3
        value: float | None = getattr(metrics, key)
        interval = report.intervals.get(f"{name}_{key}")
        span = (
            None if interval is None else f"{number(interval[0], decimals)} – {number(interval[1], decimals)}"
        )
        tiles.append(_Tile(key.upper(), number(value, decimals), span))
    return _Mode(name, _MODES[name], metrics.n, metrics.note, tiles)


def _worst(row: ScoredVideo, picture: str | None, decimals: int) -> _WorstVideo:
    spread = "" if row.row.std is None else f" ± {number(row.row.std, decimals)}"
    return _WorstVideo(
        row.row.video,
        {
            "Error": signed(row.error, decimals),
            "MOS": number(row.mos, decimals),
            "Score": f"{number(row.score, decimals)}{spread}",
            "Level": row.row.level or NOTHING,
            "Predicted": row.row.level_pred or NOTHING,
        },
        row.row.text or NOTHING,
        None if picture is None else Markup(picture),
    )


def _pictures(
    worst: Sequence[ScoredVideo], pictures: Mapping[str, str], faults: Mapping[str, str]
) -> list[str]:
    """What is to be said of the key frames."""
    absent = len(worst) - len(pictures) - len(faults)
    lines = []
    if pictures:
        lines.append(f"{FRAMES} frames each, evenly spread over a video's first {LONGEST_SECONDS} seconds.")
    if worst and absent == len(worst):
        lines.append("Without key frames: the videos' files were not at hand when the page was made.")
    elif absent:
        lines.append(f"{absent} without key frames, as their files were not at hand.")
    return [*lines, *(f"No key frames of {video}: {fault}" for video, fault in faults.items())]
