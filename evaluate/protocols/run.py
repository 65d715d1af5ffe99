"""Repeated training and testing on the same videos, beside a baseline on the very same."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from config.interruption import stops_on_sigterm
from config.pool import Pool
from config.schema import ProtocolSettings, RunSettings
from evaluate.protocols.cell import SVR, Cell, Tested
from evaluate.protocols.gpus import use_one_gpu
from evaluate.protocols.kept import forget, keep, kept
from evaluate.protocols.outcome import ProtocolResult, SplitResult, cell_line, judged, outcome_of
from evaluate.protocols.trials import Trial
from store.durable.commit import make_folders
from store.features import FeatureStore
from store.files import Folder
from store.leases import Leases
from train.errors import RunError
from train.saving.checkpoint import CONFIG, checkpoint_of
from train.saving.run import read_run

if TYPE_CHECKING:
    from evaluate.protocols.cluster import Cluster

log = logging.getLogger(__name__)

_LEASES = ".leases"
_POLL_SECONDS = 2.0
"""Between looks at cells that other processes have."""

Found = dict[str, dict[str, Tested]]
"""Trial → method → what it found."""


def run_protocol(
    protocol: ProtocolSettings,
    runs: Sequence[RunSettings],
    trials: Sequence[Trial],
    store: FeatureStore,
    folder: Path,
    *,
    starts: Mapping[str, Path] | None = None,
    restart: bool = False,
    workers: int = 1,
    cluster: "Cluster | None" = None,
    on_cell: Callable[[ProtocolResult, Found], None] | None = None,
) -> ProtocolResult:
    """Train and test every pipeline in every trial, and judge them on the videos that all have features of.

    A finished run is reused, and so is what its test found, but for `restart`. The same call in other
    processes, on other machines too where they share the folder, divides the work: each cell (a method in a
    trial) is one process's, and is taken over where that one dies.

    `runs`: each pipeline's settings on all datasets that are involved. `starts`: pipeline → the run or model
    that its runs begin with, as fine-tuning does. `workers`: cells that run beside each other here, each in a
    process of its own, on one of the GPUs; the result is the same. `cluster`: runs them in place of workers.
    `on_cell`: gets the result so far after each cell. Raises RunError where a start has seen a dataset, and
    so videos that are tested, or where the pipelines lay a dataset's scores on different scales.
    """
    starts = starts or {}
    _require_comparable(protocol, runs, starts)
    make_folders(folder)
    cells = protocol_cells(protocol, runs, trials, store, folder, starts, restart=restart)
    if restart:
        for cell in cells:
            forget(cell)
    found: Found = {trial.name: {} for trial in trials}
    results: dict[str, SplitResult] = {}

    def so_far() -> ProtocolResult:
        known = [results[trial.name] for trial in trials if trial.name in results]
        return outcome_of(protocol, runs[0].datasets, known)

    def done(cell: Cell, tested: Tested) -> None:
        trial = cell.trial.name
        found[trial][cell.method] = tested
        results[trial] = judged(trial, found[trial])
        log.info("%s: %s", cell.name, cell_line(tested))
        if on_cell is not None:
            on_cell(so_far(), found)

    with Pool(workers, terminate=True) as pool, stops_on_sigterm():
        _finish(cells, cluster or pool, done)
    return so_far()


def protocol_cells(
    protocol: ProtocolSettings,
    runs: Sequence[RunSettings],
    trials: Sequence[Trial],
    store: FeatureStore,
    folder: Path,
    starts: Mapping[str, Path] | None = None,
    *,
    restart: bool = False,
) -> list[Cell]:
    """All cells, trial by trial; see `run_protocol`."""
    methods = {run.pipeline.name: run for run in runs}
    if protocol.baseline != "none":
        methods[SVR] = runs[0]
    return [
        Cell(method, trial, run, store, folder.resolve(), (starts or {}).get(method), restart)
        for trial in trials
        for method, run in methods.items()
    ]


def _require_comparable(
    protocol: ProtocolSettings, runs: Sequence[RunSettings], starts: Mapping[str, Path]
) -> None:
    if any(each.datasets != runs[0].datasets for each in runs):
        raise RunError(
            f"the pipelines of the protocol {protocol.name} lay opinion scores on different scales: expected"
            " the same `aligned` in each"
        )
    for name, start in starts.items():
        seen = read_run(checkpoint_of(start) / CONFIG).seen
        if not {*protocol.datasets, *protocol.tests}.isdisjoint(seen):
            raise RunError(
                f"{start}, which {name} is to begin with, was trained on {', '.join(seen)}: it has seen"
                f" videos that the protocol {protocol.name} tests; begin with another by --from, or train"
                f" {name} from the start by --set pipelines.{name}.continues=false"
            )


def _finish(cells: Sequence[Cell], beside: "Pool | Cluster", done: Callable[[Cell, Tested], None]) -> None:
    """All cells: those that other processes have are waited for."""
    pending = list(cells)
    while pending:
        elsewhere = dict.fromkeys(range(len(pending)))
        for number, tested in beside.each(_take, pending):
            if tested is not None:
                del elsewhere[number]
                done(pending[number], tested)
        if len(elsewhere) == len(pending):
            time.sleep(_POLL_SECONDS)
        pending = [pending[number] for number in elsewhere]


def _take(cell: Cell) -> Tested | None:
    """What the cell finds, or found; None where another process is at it."""
    use_one_gpu()
    found = kept(cell)
    if found is not None:
        return found
    with closing(Leases(Folder(cell.folder / _LEASES, None, durable=False))) as leases:
        lease = leases.take(cell.name.replace("/", "--"))
        if lease is None:
            return None
        try:
            found = kept(cell)  # another may have finished it just now
            if found is None:
                found = cell.test()
                keep(cell, found)
        finally:
            leases.release(lease)
    return found
