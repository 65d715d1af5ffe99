"""A driver with millions of videos: time a video and memory, with processes that only pretend to extract.

    .venv/bin/python benchmarks/scale_driver.py --videos 10000000

The list is generated, lots go through files as in a real job, and two processes lease them and report an
outcome for every video. Nothing is decoded: what is measured is the driver and the files between.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from extract.executors.driver import Driver
from extract.executors.shared_job import SharedJob
from extract.tasks import Extracted, Recipe, VideoTask
from extract.video.decode import VideoInfo
from store.leases import Leases

_INFO = VideoInfo(1280, 720, 30.0, 10.0, 300, 10, "h264", "yuv420p", 0, ())
_STEP = 100_000


def tasks(count: int) -> Iterator[VideoTask]:
    """A list of so many videos, made while it is read."""
    for number in range(count):
        video = f"batch-{number // 1000:05}/video-{number:09}"
        yield VideoTask(video, Path(f"/videos/{video}.mp4"), ("clip", "motion"))


def pretend(store: Path, name: str, worker: str) -> None:
    """Lease lots, and report that their videos were extracted."""
    job = SharedJob(store, name, worker)
    with closing(Leases(job.files)) as leases:
        while not job.over:
            while claim := job.claim(leases):
                outcomes = [Extracted(task, _INFO, 1 << 20, 1 << 20) for task in claim.lot.tasks]
                job.finish(claim, leases, list(outcomes), {"run": 1.0})
            time.sleep(0.01)


class Pretenders:
    """See extract.executors.base.Launcher."""

    no_place = ""

    def __init__(self, store: Path, processes: int) -> None:
        self._store = store
        self._places = [str(number) for number in range(processes)]

    def places(self) -> Sequence[str]:
        """See Launcher."""
        return self._places

    def launch(self, place: Any, job: str) -> "Pretender":
        """See Launcher."""
        return Pretender(self._store, job, place)

    def close(self) -> None:
        """See Launcher."""


class Pretender:
    """See extract.executors.base.Process."""

    problem = None
    death = None

    def __init__(self, *args: Any) -> None:
        self._process = multiprocessing.get_context("fork").Process(target=pretend, args=args)
        self._process.start()

    def ended(self) -> bool:
        """See Process."""
        return self._process.exitcode is not None

    def stop(self) -> None:
        """See Process: it ends with the job."""
        self._process.terminate()

    def join(self) -> None:
        """See Process."""
        self._process.join()


def measure(videos: int, processes: int = 2, step: int = _STEP) -> Iterator[dict[str, float]]:
    """For every `step` videos: microseconds for each, of time and of the driver's CPU; peak MB so far."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = Recipe(Path(folder), "zarr", "set", (), 0, 60.0, 60.0)
        driver = Driver(recipe, Pretenders(recipe.store, processes))
        clocks = time.perf_counter(), time.process_time()
        for number, _ in enumerate(driver.run(tasks(videos)), start=1):
            if number % step == 0:
                now = time.perf_counter(), time.process_time()
                passed, cpu = (1e6 * (end - start) / step for start, end in zip(clocks, now, strict=True))
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
                yield {"videos": number, "us": passed, "cpu_us": cpu, "peak_mb": peak}
                clocks = now


def main() -> None:
    """Print a line for each step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for row in measure(options.videos):
        if options.json:
            print(json.dumps(row), flush=True)
            continue
        print(
            f"{row['videos']:>12,} videos: {row['us']:6.1f} µs a video,"
            f" {row['cpu_us']:6.1f} µs of the driver's CPU, {row['peak_mb']:.0f} MB at most",
            flush=True,
        )


if __name__ == "__main__":
    main()
