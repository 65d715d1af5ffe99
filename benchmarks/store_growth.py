"""What a large feature set costs: opening it, the memory that its index takes, and adding a video to it.

    python benchmarks/store_growth.py [--sizes 4000x10 4000x250] [--folder /tmp]

A size is PARTSxVIDEOS; the markers are what an extraction with two streams writes, the parts themselves are
left out. Each set is opened by a process of its own, `--rounds` times; the page cache is warm. The memory is
the process's peak beyond what it had before. Medians, and the ratio of an append to that in the smallest set.
"""

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from store.feature_set import FeatureSet
from store.features import FeatureStore, StreamShape
from store.format.marker import Marker, StreamRows, marker_bytes

STREAMS = {"spatial": StreamShape((1, 4), "float16"), "temporal": StreamShape((1, 8), "float16")}
SECONDS = 8
APPENDS = 5


def main() -> None:
    """Write the markers of each size, open them, append to them, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["4000x10", "4000x250"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--expect", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open:
        print(*_open_and_append(options.open, options.expect))
        return
    first_append: float | None = None
    for size in options.sizes:
        parts, videos = map(int, size.split("x"))
        root = Path(tempfile.mkdtemp(dir=options.folder))
        try:
            megabytes = _write(_feature_set(root), parts, videos) / 1e6
            figures = [_measured(root, parts * videos) for _ in range(options.rounds)]
        finally:
            shutil.rmtree(root)
        seconds, busy, peak, append = (statistics.median(column) for column in zip(*figures, strict=True))
        first_append = first_append or append
        print(
            f"{parts * videos:>9,} videos, {parts:>7,} parts, {megabytes:6.1f} MB of markers: opened in"
            f" {seconds:6.2f} s ({busy:.2f} s of CPU), {peak / 1e6:7.1f} MB; append {append * 1e3:5.1f} ms,"
            f" {append / first_append:.2f} × the first"
        )


def _feature_set(root: Path) -> FeatureSet:
    return FeatureStore(root).feature_set("growth", "two-streams", {})


def _write(features: FeatureSet, parts: int, videos: int) -> int:
    """Write the markers of `parts` parts. Returns their bytes."""
    features.create()
    generator = np.random.default_rng(0)
    written = 0
    for number in range(parts):
        name = f"part-{uuid.UUID(int=number).hex}"
        ids = [f"yfcc-batch{number % 60}/{number:06}_{row:04}" for row in range(videos)]
        data = marker_bytes(Marker(name, "zarr", 1 + number, ids, _rows(generator, videos), _meta(videos)))
        (features.path / f"{name}.json").write_bytes(data)
        written += len(data)
    return written


def _rows(generator: np.random.Generator, videos: int) -> dict[str, StreamRows]:
    lengths = [SECONDS] * videos
    offsets = list(range(0, SECONDS * videos, SECONDS))
    return {
        name: StreamRows(
            stream.shape,
            stream.dtype,
            chunk_items=96,
            offsets=offsets,
            lengths=lengths,
            crc32c=generator.integers(0, 1 << 32, videos).tolist(),
        )
        for name, stream in STREAMS.items()
    }


def _meta(videos: int) -> list[dict[str, object]]:
    return [
        {
            "chunks": SECONDS,
            "codec": "h264",
            "duration_seconds": 8.0 + row / 1000,
            "file_bytes": 2_000_000 + row,
            "fps": 29.97,
            "frames": 240,
            "height": 540,
            "pixel_format": "yuv420p",
            "rotation": 0,
            "warnings": [],
            "width": 960,
        }
        for row in range(videos)
    ]


def _measured(root: Path, videos: int) -> tuple[float, float, float, float]:
    """Seconds and CPU seconds to open, peak bytes, seconds to append; by a process of its own."""
    command = [sys.executable, __file__, "--open", str(root), "--expect", str(videos)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, busy, peak, append = map(float, done.stdout.split())
    return seconds, busy, peak, append


def _open_and_append(root: Path, videos: int) -> tuple[float, float, float, float]:
    import zarr  # noqa: F401  so that the first append is not charged with it

    before, busy = _peak_bytes(), time.process_time()
    started = time.perf_counter()
    features = _feature_set(root)
    found = len(features)
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    peak = _peak_bytes() - before
    if found < videos:
        raise SystemExit(f"expected {videos:,} videos, found {found:,}")
    items = {name: np.ones((SECONDS, *stream.shape), stream.dtype) for name, stream in STREAMS.items()}
    appends = []
    writer = features.writer()
    for number in range(APPENDS):
        writer.add(f"new/{uuid.uuid4().hex}/{number}", items)
        started = time.perf_counter()
        writer.flush()
        appends.append(time.perf_counter() - started)
    return seconds, busy, peak, statistics.median(appends)


def _peak_bytes() -> int:
    # Not getrusage: that of a new process begins with the peak of the one that started it.
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(line) * 1024


if __name__ == "__main__":
    main()
