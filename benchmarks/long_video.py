"""How much memory the extraction of a long video takes, over all processes.

    python benchmarks/long_video.py [--minutes 20] [--lines 1080] [--real-encoders]

The figure is the largest sum of the processes' own memory (PSS) while one video is extracted with one decode
worker, less what the process held before (libraries, models), sampled ten times a second. The encoders are
stand-ins which give what CLIP ViT-L/14 and SlowFast-R50 give, in shape and size, at no cost: what is
measured is all that grows with a video. `--real-encoders`: CLIP ViT-L/14 and SlowFast-R50 with random
weights, for videos of a minute or two.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import av
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.painted import painted_video
from benchmarks.stand_in import stand_ins
from config.load import DEFAULT_FILE, load_settings
from extract.encoders.base import Encoder
from extract.encoders.registry import build_encoder
from extract.executors.local import LocalExecutor
from extract.job.job import ExtractionJob
from extract.tasks import Recipe

MEGABYTE = 1 << 20


def main() -> None:
    """Generate the video, extract it, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--lines", type=int, default=1080)
    parser.add_argument("--real-encoders", action="store_true")
    options = parser.parse_args()
    encoders = _real_encoders() if options.real_encoders else stand_ins()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        video = _generate(Path(folder), options.lines, options.minutes * 60)
        before = _held_megabytes()
        recipe = Recipe(Path(folder) / "store", "zarr", "bench", (), 1, 600.0, 60.0)
        executor = LocalExecutor(recipe, "cpu", encoders)
        with _Watch() as watch:
            started = time.perf_counter()
            job = ExtractionJob(recipe, encoders)
            summary = job.run({"long": video}, executor, quiet=True)
            seconds = time.perf_counter() - started
        executor.close()
        if summary.done != 1:
            raise SystemExit(f"not extracted: {summary.quarantined}")
    print(
        f"{summary.video_seconds / 60:.1f} minutes of {options.lines} lines in {seconds:.0f} s; "
        f"{summary.chunks} chunks, {summary.feature_bytes / 1e9:.2f} GB of features"
    )
    print(
        f"memory: {before:.0f} MiB before, at most {watch.peak:.0f} MiB: {watch.peak - before:.0f} MiB for "
        f"the video, of which the decode worker {watch.peak_of_workers:.0f} MiB"
    )


class _Watch:
    """Samples the memory of this process and its children in a thread."""

    def __init__(self) -> None:
        self.peak = 0.0
        self.peak_of_workers = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            workers = _held_megabytes(psutil.Process().children(recursive=True))
            self.peak_of_workers = max(self.peak_of_workers, workers)
            self.peak = max(self.peak, workers + _held_megabytes())

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def _held_megabytes(processes: Sequence[psutil.Process] | None = None) -> float:
    held = 0
    for process in [psutil.Process()] if processes is None else processes:
        try:
            held += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return held / MEGABYTE


def _real_encoders() -> dict[str, Encoder]:
    named = [f"encoders.{name}.weights=random:0" for name in ("clip-vit-l14", "slowfast-r50")]
    settings = load_settings(DEFAULT_FILE, named)
    return {name: build_encoder(settings.encoders[name]) for name in settings.pipelines["lmm-vqa"].encoders}


def _generate(folder: Path, lines: int, seconds: float) -> Path:
    """Ten seconds, repeated without encoding them again."""
    short = painted_video(folder / "short.mp4", lines * 16 // 9, lines, 10)
    long = folder / "long.mp4"
    with av.open(str(long), "w") as target:
        stream = None
        for repeat in range(round(seconds / 10)):
            with av.open(str(short)) as source:
                stream = stream or target.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is None:
                        continue
                    shift = int(repeat * 10 / packet.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    target.mux(packet)
    return long


if __name__ == "__main__":
    main()
