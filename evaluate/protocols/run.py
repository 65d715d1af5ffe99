"""Repeated training and testing on the same videos, beside a baseline on the very same."""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path

from config.interruption import stops_on_sigterm
from config.pool import Pool
from config.schema import ProtocolSettings, RunSettings
from evaluate.protocols.outcome import ProtocolResult, SplitResult, outcome_of, trial_line
from evaluate.protocols.trial import run_trial
from evaluate.protocols.trials import Trial
from store.durable.commit import write_file
from store.features import FeatureStore
from train.errors import RunError
from train.saving.checkpoint import CONFIG, checkpoint_of
from train.saving.run import read_run

log = logging.getLogger(__name__)


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
) -> ProtocolResult:
    """Train and test every pipeline in every trial; a finished run is reused, but for `restart`.

    `runs`: each pipeline's settings on all the protocol's datasets. `starts`: pipeline → the run or model
    that its runs begin with, as fine-tuning does. `workers`: trials that run beside each other, each in a
    process of its own; the result is the same. Raises RunError where a start has seen a dataset, and so
    videos that are tested, or where the pipelines lay a dataset's scores on different scales.
    """
    starts = starts or {}
    if any(each.datasets != runs[0].datasets for each in runs):
        raise RunError(
            f"the pipelines of the protocol {protocol.name} lay opinion scores on different scales: expected"
            " the same `aligned` in each"
        )
    for name, start in starts.items():
        seen = read_run(checkpoint_of(start) / CONFIG).seen
        if not set(protocol.datasets).isdisjoint(seen):
            raise RunError(
                f"{start}, which {name} is to begin with, was trained on {', '.join(seen)}: it has seen"
                f" videos that the protocol {protocol.name} tests; begin with another by --from, or train"
                f" {name} from the start by --set pipelines.{name}.continues=false"
            )
    one = partial(
        run_trial,
        protocol=protocol,
        runs=runs,
        store=store,
        folder=folder,
        starts=starts,
        restart=restart,
    )
    results = dict[int, SplitResult]()
    with Pool(workers, terminate=True) as pool, stops_on_sigterm() if workers > 1 else nullcontext():
        for number, result in pool.each(one, trials):
            results[number] = result
            log.info("%s: %s", result.name, trial_line(result))
    outcome = outcome_of(protocol, runs[0].datasets, [results[number] for number in range(len(trials))])
    write_file(folder / "protocol.json", json.dumps(asdict(outcome), indent=2).encode())
    return outcome
