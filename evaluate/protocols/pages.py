"""The pages of ablations and protocols: what a change costs and brings, and each trial's figures."""

from collections.abc import Sequence
from pathlib import Path

from evaluate.protocols.ablation import AblationRow, Study, ablation_table
from evaluate.protocols.outcome import Figures, ProtocolResult, remarks
from evaluate.report.curves import curve_figure
from evaluate.report.figures import ACCENT, INK, Figure, Spec, finite, quantitative, shown
from evaluate.report.material import Curve, CurvePoint, NamedTable, Section, StudyPage
from evaluate.report.study import write_study
from evaluate.report.tables import Cell, Table

_FILE = "report.html"
_SPREAD = "Mean ± standard deviation over trials"
_SHOWN = ("srcc", "plcc", "krcc", "rmse")


def write_ablation(study: Study, rows: Sequence[AblationRow], folder: Path) -> Path:
    """Write the ablation's page beside its table; `folder` is that of all runs. Raises RunError."""
    file = study.tables_in(folder) / _FILE
    write_study(file, ablation_page(study, rows))
    return file


def write_protocol(result: ProtocolResult, folder: Path) -> Path:
    """Write the protocol's page into its folder. Raises RunError."""
    file = folder / _FILE
    write_study(file, protocol_page(result))
    return file


def ablation_page(study: Study, rows: Sequence[AblationRow]) -> StudyPage:
    """A curve for each cost in which the cells differ, and the table."""
    curves = [
        curve
        for test in dict.fromkeys(row.test for row in rows)
        for curve in _curves([row for row in rows if row.test == test], test)
    ]
    figures = [curve_figure(curve, f"curve-{n}") for n, curve in enumerate(curves)]
    done = max((row.trials for row in rows), default=0)
    return StudyPage(
        kind="Ablation",
        title=study.ablation.title,
        facts={
            "Protocol": study.ablation.protocol,
            "Cells": str(len(study.runs)),
            "Trials": str(len(study.trials))
            if done == len(study.trials)
            else f"{done} of {len(study.trials)}",
        },
        sections=[
            *([Section("What it costs", figures)] if figures else []),
            Section("Cells", tables=[NamedTable("As far as they are finished", ablation_table(study, rows))]),
        ],
        provenance={
            "encoders": sorted({name for run in study.runs for name in run.pipeline.encoders}),
            "settings": {run.pipeline.name: run.pipeline.model_dump(mode="json") for run in study.runs},
        },
    )


def protocol_page(result: ProtocolResult) -> StudyPage:
    """Figures over the trials, and each trial's SRCC, of each test set."""
    sections = []
    if result.pools and len(result.datasets) > 1:
        trials = [split.metrics for split in result.splits]
        sections.append(_section("All test videos together", "all", result.methods, trials))
    for n, (test, found) in enumerate(result.datasets.items()):
        own = [split.datasets[test] for split in result.splits if test in split.datasets]
        sections.append(_section(test, f"test-{n}", found, own))
    for test, levels in result.levels.items():
        names = list(dict.fromkeys(name for shares in levels.values() for name in shares))
        rows = tuple((method, *(shares.get(name) for name in names)) for method, shares in levels.items())
        table = Table(("Method", *names), rows, frozenset(names))
        sections.append(Section(f"Level accuracy on {test}", tables=[NamedTable("Share given right", table)]))
    return StudyPage(
        kind="Protocol",
        title=result.protocol,
        facts={"Trials": str(len(result.splits)), "Figures": f"{result.statistic} over trials"},
        sections=sections,
        remarks=remarks(result),
    )


def _curves(rows: Sequence[AblationRow], test: str) -> list[Curve]:
    costs: dict[str, list[float | None]] = {
        "Visual tokens of a video": [row.tokens for row in rows],
        "Training videos": [*(row.trained for row in rows)],
        "Milliseconds a video": [
            None if row.seconds_per_video is None else 1000 * row.seconds_per_video for row in rows
        ],
    }
    curves = []
    for name, values in costs.items():
        known = [(value, row) for value, row in zip(values, rows, strict=True) if value is not None]
        different = {round(value, 6) for value, _ in known}
        if len(different) < 2:
            continue
        points = [
            CurvePoint(
                value,
                row.srcc,
                row.cell,
                row.readout,
                row.srcc - row.srcc_std if row.trials > 1 else None,
                row.srcc + row.srcc_std if row.trials > 1 else None,
            )
            for value, row in sorted(known, key=lambda pair: pair[0])
        ]
        wide = min(different) > 0 and max(different) > 4 * min(different)
        curves.append(Curve(f"SRCC on {test}", name, points, interval=_SPREAD, logarithmic=wide))
    return curves


def _section(title: str, name: str, found: dict[str, dict[str, float]], trials: Sequence[Figures]) -> Section:
    heads = tuple(figure.upper() for figure in _SHOWN)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (method, *(figures[figure] for figure in _SHOWN)) for method, figures in found.items()
    )
    table = Table(("Method", *heads), rows, frozenset(heads))
    figures = [_strip(title, name, list(found), trials)] if len(trials) > 1 else []
    return Section(title, figures, [NamedTable(f"Methods on {title}", table)])


def _strip(title: str, name: str, methods: Sequence[str], trials: Sequence[Figures]) -> Figure:
    """Each trial's SRCC as a mark, a line for each method."""
    values = [
        {"method": method, "srcc": round(srcc, 4), "trial": number}
        for number, trial in enumerate(trials, start=1)
        for method in methods
        if method in trial and (srcc := trial[method]["srcc"]) is not None and finite(srcc)
    ]
    y: Spec = {
        "field": "method",
        "type": "nominal",
        "sort": list(methods),
        "title": None,
        "axis": {"grid": False, "domain": False, "labelColor": INK, "labelLimit": 240},
    }
    told = [shown("method", "Method"), shown("trial", "Trial", "d"), shown("srcc", "SRCC", ".3f")]
    return Figure(
        name=f"{name}-trials",
        title="SRCC of each trial",
        description=f"SRCC of {len(methods)} methods in {len(trials)} trials on {title}.",
        caption="Each mark is a trial; the methods are tested on the same videos.",
        spec={
            "height": 40 + 30 * len(methods),
            "data": {"values": values},
            "layer": [
                {
                    "mark": {"type": "point", "size": 70, "opacity": 0.8, "color": ACCENT},
                    "encoding": {"x": quantitative("srcc", "SRCC"), "y": y, "tooltip": told},
                }
            ],
        },
        table=None,
    )
