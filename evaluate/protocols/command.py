"""`protocol` and `ablate`: repeated training and testing, by one command that continues."""

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config import cli
from config.load import DEFAULT_FILE, load_settings, lookup
from config.schema import Settings
from evaluate.report.formats import Format

if TYPE_CHECKING:
    from evaluate.protocols.cluster import Cluster
    from evaluate.protocols.plan import ProtocolPlan
    from store.features import FeatureStore

Restart = Annotated[bool, typer.Option("--restart", help="Replace the runs in the folder.")]
Workers = Annotated[
    int,
    typer.Option(
        min=1, help="Cells (a method in a trial) beside each other, each in a process, on one of the GPUs."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what it would take: cells, videos, tokens, hours, GB.")
]
Seconds = Annotated[
    float | None, typer.Option(help="Dry run: seconds of every video, in place of what is stored.")
]
Card = Annotated[str | None, typer.Option(help="Dry run: hours on this GPU, such as H100.")]
Processes = Annotated[int, typer.Option(min=1, help="Dry run: GPUs that one training takes.")]


def protocol(
    name: Annotated[str, typer.Argument(help="A protocol of pipelines.toml.")],
    run: Annotated[
        Path | None, typer.Option(help="Folder of the runs; runs/PROTOCOL where not given.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN|FOLDER",
            help="What the pipelines that continue another begin with; runs/NAME where not given.",
        ),
    ] = None,
    restart: Restart = False,
    workers: Workers = 1,
    executor: cli.Executor = cli.Where.LOCAL,
    ray_address: cli.RayAddress = None,
    dry_run: DryRun = False,
    seconds: Seconds = None,
    card: Card = None,
    processes: Processes = 1,
    config: cli.Config = DEFAULT_FILE,
    overrides: cli.Overrides = None,
    json: cli.Json = False,
) -> None:
    """Train or fine-tune pipelines on the same videos, and test them on the same, beside a baseline.

    Run again, it continues; run elsewhere at the same time, on a shared folder, it divides the work, as the
    nodes of a Ray cluster do by --executor ray: a cell for each GPU, or else for each CPU.
    """
    from evaluate.protocols.outcome import protocol_table, write_outcome
    from evaluate.protocols.pages import write_protocol
    from evaluate.protocols.plan import protocol_plan
    from evaluate.protocols.run import protocol_cells, run_protocol
    from evaluate.protocols.trials import protocol_trials

    settings = load_settings(config, overrides or [])
    chosen = lookup(settings.protocols, name, "protocol")
    datasets = [settings.datasets[each] for each in chosen.involved]
    runs = [settings.run(settings.pipelines[pipeline], *datasets) for pipeline in chosen.pipelines]
    trials, store, folder = protocol_trials(chosen, datasets), _store(settings), run or Path("runs") / name
    if dry_run:
        cells = protocol_cells(chosen, runs, trials, store, folder)
        _show([protocol_plan(name, cells, seconds=seconds, processes=processes, card=card)], json)
        return
    starts = {
        pipeline.name: start or Path("runs") / pipeline.continues
        for pipeline in (settings.pipelines[each] for each in chosen.pipelines)
        if pipeline.continues is not None
    }
    with _cluster(executor, ray_address) as cluster:
        result = run_protocol(
            chosen,
            runs,
            trials,
            store,
            folder,
            starts=starts,
            restart=restart,
            workers=workers,
            cluster=cluster,
        )
    write_outcome(folder, result)
    page = write_protocol(result, folder)
    if json:
        cli.print_json(asdict(result))
        return
    print(protocol_table(result))
    print(f"report: {page}")


def ablate(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ABLATION…]", help="Of pipelines.toml; none lists them.")
    ] = None,
    folder: Annotated[
        Path, typer.Option(help="Runs lie in its PROTOCOL/PIPELINE/TRIAL, tables in ablations/ABLATION.")
    ] = Path("runs"),
    restart: Restart = False,
    workers: Workers = 1,
    executor: cli.Executor = cli.Where.LOCAL,
    ray_address: cli.RayAddress = None,
    dry_run: DryRun = False,
    seconds: Seconds = None,
    card: Card = None,
    processes: Processes = 1,
    format: Annotated[Format, typer.Option(help="Of the tables.")] = "plain",
    config: cli.Config = DEFAULT_FILE,
    overrides: cli.Overrides = None,
    json: cli.Json = False,
) -> None:
    """Train and test variants of a pipeline on the same stored features, and say what each change does.

    Run again, it continues; run elsewhere at the same time, on a shared folder, it divides the work, as the
    nodes of a Ray cluster do by --executor ray: a cell for each GPU, or else for each CPU.
    table.md has the table so far, report.html its charts in the end.
    """
    settings = load_settings(config, overrides or [])
    if not names:
        for name, ablation in settings.ablations.items():
            print(f"{name}: {ablation.title} ({', '.join(ablation.cells)}), by {ablation.protocol}")
        return
    from evaluate.protocols.ablation import ablation_table, run_ablation, study_of
    from evaluate.protocols.pages import write_ablation
    from evaluate.protocols.plan import protocol_plan
    from evaluate.protocols.run import protocol_cells

    store = _store(settings)
    studies = {name: study_of(name, settings) for name in names}
    if dry_run:
        plans = (
            protocol_plan(
                name,
                protocol_cells(study.protocol, study.runs, study.trials, store, study.runs_in(folder)),
                seconds=seconds,
                processes=processes,
                card=card,
            )
            for name, study in studies.items()
        )
        _show(plans, json)
        return
    with _cluster(executor, ray_address) as cluster:
        found = {
            name: run_ablation(study, store, folder, restart=restart, workers=workers, cluster=cluster)
            for name, study in studies.items()
        }
    pages = [write_ablation(studies[name], rows, folder) for name, rows in found.items()]
    if json:
        cli.print_json({name: [asdict(row) for row in rows] for name, rows in found.items()})
        return
    tables = [ablation_table(studies[name], rows).render(format) for name, rows in found.items()]
    print("\n".join(tables), end="")
    print(
        "\n".join(f"report: {page}" for page in pages),
        file=None if format == "plain" else sys.stderr,
    )


def _cluster(executor: cli.Where, address: str | None) -> AbstractContextManager["Cluster | None"]:
    if executor is cli.Where.LOCAL:
        return nullcontext()
    from evaluate.protocols.cluster import Cluster

    return Cluster(address)


def _store(settings: Settings) -> "FeatureStore":
    from store.features import FeatureStore

    return FeatureStore(settings.store.path)


def _show(plans: Iterable["ProtocolPlan"], json: bool) -> None:
    """Each as soon as it is made, which takes a while of a large dataset."""
    if json:
        cli.print_json([plan.as_json() for plan in plans])
        return
    for number, plan in enumerate(plans):
        print("\n".join(["", *plan.lines()] if number else plan.lines()), flush=True)
