"""`python -m extract`: videos of a dataset to features in the store, once."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Annotated, Any

import typer

from config import cli
from config.load import DEFAULT_FILE, load_settings, lookup
from config.schema import Settings
from extract.encoders.base import Encoder
from extract.encoders.registry import build_encoder
from extract.executors.base import Executor, InvalidShare
from extract.executors.local import local_executor
from extract.job.dataset import InvalidChoice, chosen_videos, labelled_videos, spared_pictures
from extract.job.job import ExtractionJob, NothingExtracted, OutdatedFeatures, default_workers
from extract.job.plan import make_plan
from extract.job.sources import videos_at
from extract.location import Location
from extract.tasks import Recipe
from extract.video.clock import LARGEST_GAP_SECONDS

app = cli.command_app(
    "Decode a dataset's videos once and store the features that a pipeline's encoders give."
)

_RAY_WORKERS = 64
"""More than a place in a cluster has CPUs for: it takes what there is."""


@app.command()
def extract(
    dataset: Annotated[str | None, typer.Argument(help="A dataset of pipelines.toml.")] = None,
    pipeline: Annotated[str, typer.Option(help="The pipeline whose encoders to run.")] = "lmm-vqa",
    videos: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLACE",
            help="Without labels: a folder, a video, a .tar, a list (.txt, one a line), or the URL of one."
            " Repeatable.",
        ),
    ] = None,
    into: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --videos: the name to store the features under.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many videos.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only the video of this id. Repeatable.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Only part I of N, counted from 0: one for each machine."),
    ] = None,
    share: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Share the work with every process that runs this very command."),
    ] = None,
    retry_quarantined: Annotated[
        bool, typer.Option("--retry-quarantined", help="Try the videos again that could not be read.")
    ] = False,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh",
            help="Extract again what no longer holds: videos whose file was replaced, and all of an encoder"
            " that gives other numbers now (another version of a library, another device).",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what there is to do and how long it takes; store nothing.")
    ] = False,
    device: Annotated[
        str, typer.Option(help="Where models run: auto, cpu, cuda (every GPU) or a list, cuda:0,cuda:1.")
    ] = "auto",
    batch: Annotated[
        int | None, typer.Option(min=1, help="Chunks that a model sees at once. Default: by the model.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Decode processes for each device; 0 for none. Default: by the cores."),
    ] = None,
    time_budget: Annotated[
        float, typer.Option(min=1, help="Give a video up after so many seconds without a result.")
    ] = 300.0,
    largest_gap: Annotated[
        float, typer.Option(help="Accept a still picture of so many seconds between two frames.")
    ] = LARGEST_GAP_SECONDS,
    commit_seconds: Annotated[
        float, typer.Option(min=0, help="Commit finished videos at least this often.")
    ] = 60.0,
    executor: cli.Executor = cli.Where.LOCAL,
    ray_address: cli.RayAddress = None,
    overrides: cli.Overrides = None,
    config: cli.Config = DEFAULT_FILE,
    json: cli.Json = False,
) -> None:
    """Extract what the store lacks; the same command again continues a job that was stopped.

    Ends with status 1 if the store keeps features that no longer hold (see --refresh), or has none of the
    videos.
    """
    from extract.executors.devices import device_names

    settings = load_settings(config, overrides or [])
    chosen_pipeline = lookup(settings.pipelines, pipeline, "pipeline")
    names = chosen_pipeline.encoders
    if share and (shard or executor is cli.Where.RAY):
        raise InvalidShare(
            f"--share {share} goes with neither --shard nor --executor ray: they share by themselves"
        )
    if not largest_gap > 0:
        raise InvalidChoice(f"--largest-gap {largest_gap:g}: expected more than 0 seconds between two frames")
    found, unmatched = _found_videos(settings, dataset, videos or [], into, json)
    chosen = chosen_videos(found, only or [], shard, limit)
    name = dataset or str(into)

    # The machines of a cluster have their own devices; here, the encoders only tell what is missing.
    devices = device_names(device) if executor is cli.Where.LOCAL else ["cpu"]
    encoder_settings = [settings.encoders[name] for name in names]
    if batch is not None:
        encoder_settings = [one.model_copy(update={"batch": batch}) for one in encoder_settings]
    built_on = devices[0] if len(devices) == 1 else "cpu"
    encoders = {one.name: build_encoder(one, built_on) for one in encoder_settings}
    if workers is None:
        workers = _usual_workers(encoders, devices, device, executor)
    recipe = Recipe(
        settings.store.path,
        settings.store.backend,
        name,
        tuple(encoder_settings),
        workers,
        time_budget,
        commit_seconds,
        largest_gap,
    )
    spared = spared_pictures(settings.datasets[dataset], chosen_pipeline, chosen) if dataset else {}
    job = ExtractionJob(recipe, encoders, spared)
    facts = {"dataset": name, "pipeline": pipeline, "device": ",".join(devices), "workers": workers}
    if dry_run:
        plan = make_plan(
            job, chosen, encoders, devices, workers, retry_quarantined=retry_quarantined, refresh=refresh
        )
        _report(json, {**facts, **plan.as_json()}, plan.lines())
        return
    if executor is cli.Where.LOCAL:
        machinery: Executor = local_executor(recipe, devices, encoders, share)
    else:
        from extract.executors.ray import ray_executor

        machinery = ray_executor(recipe, ray_address, device)
    with closing(machinery):
        summary = job.run(chosen, machinery, retry_quarantined=retry_quarantined, refresh=refresh, quiet=json)
    _report(json, {**facts, **summary.as_json(), **unmatched}, summary.lines())
    if summary.outdated:
        raise OutdatedFeatures(summary.outdated)
    if chosen and not job.stores_any(chosen):
        raise NothingExtracted(f"no video of {name} gave features: see the reasons above")
    if dataset and not json and (summary.done or summary.already):
        print(f"next: python -m train {pipeline} --dataset {dataset}")


def _found_videos(
    settings: Settings, dataset: str | None, places: Sequence[str], into: str | None, json: bool
) -> tuple[Mapping[str, Location], dict[str, list[str]]]:
    """Id → where, of what there is to extract; and the labels and files that did not meet, by kind."""
    if bool(dataset) == bool(places) or bool(places) != bool(into):
        raise InvalidChoice("expected a DATASET of pipelines.toml, or --videos PLACE and --into NAME")
    if dataset is None:
        found = videos_at(places)
        if not json:
            print(f"{into}: {len(found)} videos found", flush=True)
        return found, {}
    coverage = labelled_videos(lookup(settings.datasets, dataset, "dataset"))
    if not json:
        print(f"{dataset}: {coverage.report()}", flush=True)
    return coverage.found, {"missing": coverage.missing, "unlabelled": coverage.extra}


def _usual_workers(encoders: dict[str, Encoder], devices: list[str], device: str, executor: cli.Where) -> int:
    has_models = not all(encoder.in_worker for encoder in encoders.values())
    if executor is cli.Where.RAY:
        return 1 if has_models and device == "cpu" else _RAY_WORKERS
    return default_workers(has_models and devices == ["cpu"], len(devices))


def _report(json: bool, facts: dict[str, Any], lines: list[str]) -> None:
    if json:
        cli.print_json(facts)
    else:
        print("\n".join(lines))


if __name__ == "__main__":
    cli.run(app)
