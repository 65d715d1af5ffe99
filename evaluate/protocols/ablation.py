"""Ablations: variants of a pipeline through one protocol, on the same cached features, as one table."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from config.load import lookup
from config.schema import AblationSettings, ProtocolSettings, RunSettings, Settings
from evaluate.protocols.outcome import ProtocolResult
from evaluate.protocols.run import Found, run_protocol
from evaluate.protocols.trials import Trial, protocol_trials
from evaluate.report.tables import Cell as TableCell
from evaluate.report.tables import Table
from store.durable.commit import make_folders, write_file
from store.features import FeatureStore

if TYPE_CHECKING:
    from evaluate.protocols.cluster import Cluster

_FIGURES = ("srcc", "plcc")


@dataclass(frozen=True)
class Study:
    """An ablation, resolved: what is to be trained and tested."""

    ablation: AblationSettings
    protocol: ProtocolSettings
    """The ablation's, with its cells for pipelines."""
    runs: list[RunSettings]
    """Of each cell."""
    trials: list[Trial]

    @property
    def reference(self) -> str:
        """The cell that the others are held against: the pipeline as it is, or else the first."""
        cells = self.ablation.cells
        as_it_is = (name for name, cell in cells.items() if cell.name == self.ablation.pipeline)
        return next(as_it_is, next(iter(cells)))

    def runs_in(self, folder: Path) -> Path:
        """Where its runs lie: with those of all ablations by the same protocol, which share some."""
        return folder / self.ablation.protocol

    def tables_in(self, folder: Path) -> Path:
        """Where its table lies."""
        return folder / "ablations" / self.ablation.name


@dataclass(frozen=True)
class AblationRow:
    """One cell on one test set; the figures are means over the trials that are finished."""

    cell: str
    readout: str
    """`expected`, `generate`, or the baseline's name."""
    test: str
    trials: int
    srcc: float
    srcc_std: float
    """Standard deviation over the trials, of splits and of seeds; 0 of one."""
    gain: float | None
    """SRCC above that of `Study.reference` in the same trials, which tells more than two means do."""
    gain_std: float | None
    plcc: float
    plcc_std: float
    tokens: float | None
    """Visual tokens of a video."""
    parameters: int | None
    """How many are trained."""
    seconds_per_video: float | None
    """From stored features to the answer, on the machine that tested it."""
    trained: float
    """Videos learnt from."""


def study_of(name: str, settings: Settings) -> Study:
    """Raises SettingsError where there is no such ablation, and what reading and splitting labels raises."""
    ablation = lookup(settings.ablations, name, "ablation")
    protocol = settings.protocols[ablation.protocol].model_copy(
        update={"name": ablation.name, "pipelines": tuple(cell.name for cell in ablation.cells.values())}
    )
    datasets = [settings.datasets[each] for each in protocol.involved]
    runs = [settings.run(cell, *datasets) for cell in ablation.cells.values()]
    return Study(ablation, protocol, runs, protocol_trials(protocol, runs[0].datasets))


def run_ablation(
    study: Study,
    store: FeatureStore,
    folder: Path,
    *,
    restart: bool = False,
    workers: int = 1,
    cluster: "Cluster | None" = None,
) -> list[AblationRow]:
    """Train and test every cell in every trial, as `run_protocol` does: divided, reused, continued.

    After each, ablation.json and table.md are written anew. `folder`: of all runs and tables.
    """
    rows, tables = list[AblationRow](), study.tables_in(folder)

    def write(result: ProtocolResult, found: Found) -> None:
        rows[:] = ablation_rows(study, result, found)
        make_folders(tables)
        write_file(tables / "ablation.json", json.dumps([asdict(row) for row in rows], indent=2).encode())
        write_file(tables / "table.md", ablation_table(study, rows).render("markdown").encode())

    run_protocol(
        study.protocol,
        study.runs,
        study.trials,
        store,
        study.runs_in(folder),
        restart=restart,
        workers=workers,
        cluster=cluster,
        on_cell=write,
    )
    return rows


def ablation_rows(study: Study, result: ProtocolResult, found: Found) -> list[AblationRow]:
    """Of each cell and readout, in the cells' order, a row for each test set."""
    rows = []
    cells = {pipeline.name: cell for cell, pipeline in study.ablation.cells.items()}
    order, reference = [*cells], study.ablation.cells[study.reference].name
    methods = dict.fromkeys(method for split in result.splits for method in split.metrics)
    for method in sorted(methods, key=lambda method: _place(order, method)):
        pipeline, _, readout = method.partition(", ")
        own = [tested for each in found.values() if (tested := each.get(pipeline)) is not None]
        for test in result.datasets:
            figures = [
                split.datasets[test][method]
                for split in result.splits
                if method in split.datasets.get(test, {})
            ]
            values = {name: [each[name] for each in figures] for name in _FIGURES}
            known = {name: [v for v in each if v is not None] for name, each in values.items()}
            if not known["srcc"]:
                continue
            other = f"{reference}, {readout}"
            gains = [] if method == other else _gains(result, test, method, other)
            rows.append(
                AblationRow(
                    cell=cells.get(pipeline, pipeline),
                    readout=readout or "baseline",
                    test=test,
                    trials=len(known["srcc"]),
                    srcc=float(np.mean(known["srcc"])),
                    srcc_std=_spread(known["srcc"]),
                    gain=_mean(gains),
                    gain_std=_spread(gains) if gains else None,
                    plcc=float(np.mean(known["plcc"])),
                    plcc_std=_spread(known["plcc"]),
                    tokens=_mean([each.tokens for each in own]),
                    parameters=next((each.parameters for each in own), None),
                    seconds_per_video=_mean([each.seconds_per_video for each in own]),
                    trained=float(np.mean([each.trained for each in own])),
                )
            )
    return rows


def ablation_table(study: Study, rows: Sequence[AblationRow]) -> Table:
    """The table for people; where it has one test set or one readout alone, without that column."""
    total, against = len(study.trials), f"against {study.reference}"
    written: list[dict[str, TableCell]] = [
        {
            study.ablation.title: row.cell,
            "Readout": row.readout,
            "Tested on": row.test,
            "SRCC": _with_spread(row.srcc, row.srcc_std, row.trials),
            against: None if row.gain is None else _with_spread(row.gain, row.gain_std, row.trials, "+"),
            "PLCC": _with_spread(row.plcc, row.plcc_std, row.trials),
            "Tokens": None if row.tokens is None else f"{row.tokens:,.0f}",
            "Trained parameters": None if row.parameters is None else f"{row.parameters:,}",
            "ms a video": None if row.seconds_per_video is None else f"{1000 * row.seconds_per_video:.3g}",
            "Training videos": f"{row.trained:,.0f}",
            "Trials": str(row.trials) if row.trials == total else f"{row.trials} of {total}",
        }
        for row in rows
    ]
    headers = [
        header
        for header in (written[0] if written else {study.ablation.title: None})
        if header not in ("Readout", "Tested on") or len({each[header] for each in written}) > 1
    ]
    numeric = frozenset(headers) - {study.ablation.title, "Readout", "Tested on"}
    return Table(tuple(headers), tuple(tuple(each[h] for h in headers) for each in written), numeric)


def _place(pipelines: Sequence[str], method: str) -> tuple[int, str]:
    """Of the cells in their order, then of the baseline."""
    pipeline = method.partition(", ")[0]
    return (pipelines.index(pipeline) if pipeline in pipelines else len(pipelines), method)


def _gains(result: ProtocolResult, test: str, method: str, other: str) -> list[float]:
    """SRCC above the other method's, in each trial that both have."""
    pairs = [
        (figures[method]["srcc"], figures[other]["srcc"])
        for split in result.splits
        if {method, other} <= (figures := split.datasets.get(test, {})).keys()
    ]
    return [own - base for own, base in pairs if own is not None and base is not None]


def _with_spread(mean: float, spread: float | None, trials: int, sign: str = "") -> str:
    return f"{mean:{sign}.3f}" if trials < 2 or spread is None else f"{mean:{sign}.3f} ± {spread:.3f}"


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
