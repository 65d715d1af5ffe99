"""Short ways to run an extraction in a test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fragile_encoder import DeviceEncoder, FragileEncoder

from extract.encoders.base import Encoder
from extract.executors.local import LocalExecutor
from extract.job.job import ExtractionJob
from extract.job.summary import ExtractionSummary
from extract.tasks import Recipe

ENCODERS = {"mean": FragileEncoder(), "device": DeviceEncoder(batch=5)}
"""One that runs in the workers, and one of a device."""


def videos_in(folder: Path) -> dict[str, Path]:
    """Id → file of the folder's videos, each under twenty ids."""
    return {f"{path.stem}/{n:02}": path for path in sorted(folder.glob("*.mp4")) for n in range(20)}


def recipe(store: Path, **changes: Any) -> Recipe:
    """A recipe for the dataset `set`; the encoders are given beside it."""
    values = {"workers": 0, "time_budget_seconds": 60.0, "commit_seconds": 60.0, **changes}
    return Recipe(store, "zarr", "set", (), **values)


def run_job(
    store: Path,
    encoders: Mapping[str, Encoder],
    videos: Mapping[str, Path],
    refresh: bool = False,
    retry_quarantined: bool = False,
    **changes: Any,
) -> tuple[ExtractionJob, ExtractionSummary]:
    """Extract the videos on the CPU; `changes` of the recipe, such as the number of workers."""
    how = recipe(store, **changes)
    job = ExtractionJob(how, encoders)
    executor = LocalExecutor(how, "cpu", encoders)
    try:
        summary = job.run(videos, executor, refresh=refresh, retry_quarantined=retry_quarantined, quiet=True)
        return job, summary
    finally:
        executor.close()
