"""`python -m extract`: videos of a dataset to features in the store, once."""

import sys
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from config import cli
from config.load import DEFAULT_FILE, load_settings, lookup
from extract.dataset import labelled_videos
from extract.encoders.registry import build_encoder
from extract.encoding import BLOCK_CHUNKS
from extract.job import ExtractionJob, ExtractionSummary, counted, default_workers
from store.features import FeatureStore
from store.resolve import Coverage

app = cli.command_app(
    "Decode a dataset's videos once and store the features that a pipeline's encoders give."
)

_SHOWN = 10


@app.command()
def extract(
    dataset: Annotated[str, typer.Argument(help="A dataset of pipelines.toml.")],
    pipeline: Annotated[str, typer.Option(help="The pipeline whose encoders to run.")] = "lmm-vqa",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many videos.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Decode processes; 0 decodes in this one. Default: by the cores."),
    ] = None,
    device: Annotated[str, typer.Option(help="Where models run: auto, cpu, cuda, cuda:1, …")] = "auto",
    block: Annotated[
        int, typer.Option(min=1, help="Chunks of a video that a model sees at once.")
    ] = BLOCK_CHUNKS,
    retry_quarantined: Annotated[
        bool, typer.Option("--retry-quarantined", help="Try the videos again that could not be read.")
    ] = False,
    overrides: cli.Overrides = None,
    config: cli.Config = DEFAULT_FILE,
    json: cli.Json = False,
) -> None:
    """Extract what the store lacks; the same command again continues a job that was stopped."""
    settings = load_settings(config, overrides or [])
    chosen = lookup(settings.pipelines, pipeline, "pipeline")
    coverage = labelled_videos(lookup(settings.datasets, dataset, "dataset"))
    if not json:
        print(f"{dataset}: {coverage.report()}", flush=True)
    videos = dict(list(coverage.found.items())[:limit])
    where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    encoders = {name: build_encoder(settings.encoders[name], where) for name in chosen.encoders}
    job = ExtractionJob(FeatureStore(settings.store.path, settings.store.backend), dataset, encoders)
    if retry_quarantined:
        job.release_quarantined(videos)
    if workers is None:
        models_on_cpu = where == "cpu" and not all(encoder.in_worker for encoder in encoders.values())
        workers = default_workers(len(job.pending(videos)), models_on_cpu)
    summary = job.run(videos, workers=workers, block_chunks=block, quiet=json)
    if json:
        cli.print_json(_as_json(summary, coverage, dataset, pipeline, where, workers))
    else:
        _print(summary, dataset, pipeline)


def _as_json(
    summary: ExtractionSummary,
    coverage: Coverage[Path],
    dataset: str,
    pipeline: str,
    device: str,
    workers: int,
) -> dict[str, Any]:
    job = {"dataset": dataset, "pipeline": pipeline, "device": device, "workers": workers}
    return {**job, **summary.as_json(), "missing": coverage.missing, "unlabelled": coverage.extra}


def _headline(summary: ExtractionSummary) -> str:
    refused = f"; {len(summary.quarantined)} in quarantine" if summary.quarantined else ""
    if summary.already and not summary.done and not summary.newly_quarantined:
        return f"nothing to extract: the features of {summary.already} videos are reused{refused}"
    rate = f", {summary.done / summary.seconds:.2f} videos/s" if summary.done else ""
    done = f"{summary.done} videos ({summary.chunks} chunks) in {summary.seconds:.1f} s{rate}"
    return f"{done}; {summary.already} were there{refused}"


def _print(summary: ExtractionSummary, dataset: str, pipeline: str) -> None:
    print(_headline(summary))
    if summary.quarantined:
        kinds = ", ".join(f"{count} {kind}" for kind, count in counted(summary.quarantined).items())
        print(f"quarantine ({summary.newly_quarantined} new): {kinds}")
        for refusal in list(summary.quarantined.values())[:_SHOWN]:
            print(f"  {refusal.reason}")
        if len(summary.quarantined) > _SHOWN:
            print(f"  … and {len(summary.quarantined) - _SHOWN} more in quarantine.jsonl")
        print("  --retry-quarantined tries them again")
    for video, warnings in list(summary.with_warnings.items())[:_SHOWN]:
        print(f"  warning: {video}: {'; '.join(warnings)}")
    if summary.done and summary.phase_seconds:
        phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in summary.phase_seconds.items())
        print(f"phases (added up over processes): {phases}")
    for encoder, features in summary.feature_sets.items():
        print(f"{encoder}@{features['key']}: {features['path']}")
    if not summary.done and not summary.already:
        print("no video gave features: see the reasons above", file=sys.stderr)
        return
    print(f"next: python -m train {pipeline} --dataset {dataset}")


if __name__ == "__main__":
    cli.run(app)
