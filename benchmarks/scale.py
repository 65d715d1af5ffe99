"""What a feature set of millions of videos costs: opening it, adding to it, refreshing it, look-ups.

    python benchmarks/scale.py [--sizes 100000 1000000 10000000] [--part-videos 250] [--folder /tmp]

Metadata alone: markers of two streams as an extraction writes them, without their parts; only what is
committed to measure it has parts. At each size a process of its own opens the set (warm page cache) and
measures: times are of the CPU, as waiting for the disk says more of the disk; memory is its peak beyond what
it had before. In brackets: the ratio to the first size.
"""

import argparse
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import google_crc32c
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from store.feature_set import FeatureSet
from store.features import FeatureStore, StreamShape
from store.format.layout import PARTS_IN_FOLDER, Place
from store.format.marker import Marker, StreamRows, marker_bytes

STREAMS = {"spatial": StreamShape((1, 4), "float16"), "temporal": StreamShape((1, 8), "float16")}
SECONDS = 8
COMMITS = 15
LOOKUPS = 20_000
FIGURES = {
    "open, µs a video": 1e6,
    "memory, bytes a video": 1.0,
    "commit, ms": 1e3,
    "refresh, ms": 1e3,
    "look-up, µs": 1e6,
}
"""Name → its unit in a second (or a byte)."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Grow a feature set from size to size and print the figures of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--part-videos", type=int, default=250)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(*_measure(options.measure))
        return
    root = Path(tempfile.mkdtemp(dir=options.folder))
    first: list[float] | None = None
    parts = 0
    try:
        for size in sorted(options.sizes):
            parts = _grow(_feature_set(root), parts, size // options.part_videos, options.part_videos)
            command = [sys.executable, __file__, "--measure", str(root)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures = [float(figure) for figure in done.stdout.split()]
            first = first or figures
            print(f"{size:>10,} videos in {parts:,} parts", flush=True)
            for (name, unit), found, before in zip(FIGURES.items(), figures, first, strict=True):
                print(f"    {name:<22} {found * unit:10.2f}  ({found / before:.2f})", flush=True)
    finally:
        shutil.rmtree(root)


def _feature_set(root: Path) -> FeatureSet:
    return FeatureStore(root).feature_set("scale", "two-streams", {})


def _grow(features: FeatureSet, parts: int, until: int, videos: int) -> int:
    """Write markers until there are so many parts of `videos` videos each."""
    features.create()
    body = _template(videos)
    for number in range(parts, until):
        place = Place(f"parts-{number // PARTS_IN_FOLDER:05}", 1 + number)
        marker = Marker("", "zarr", 0, [], {})
        marker.put(place, uuid.UUID(int=number).hex)
        own = {
            b"@part": marker.part,
            b"@batch": f"{number % 60}/{number:06}",
            b"7777777": str(place.sequence),
        }
        content = body
        for placeholder, text in own.items():
            content = content.replace(placeholder, text.encode())
        file = features.path / marker.file
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b'{"format":1,"crc32c":%d,' % google_crc32c.value(b"{" + content) + content)
    return until


def _template(videos: int) -> bytes:
    """What follows the checksum in a marker, with placeholders: making each anew would take long."""
    ids = [f"yfcc-batch@batch_{row:04}" for row in range(videos)]
    rows = _rows(np.random.default_rng(0), videos)
    whole = marker_bytes(Marker("@part", "zarr", 7777777, ids, rows, _meta(videos)))
    return whole.split(b",", 2)[2]


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
    note = {"codec": "h264", "fps": 29.97, "frames": 240, "height": 540, "warnings": [], "width": 960}
    return [
        {"duration_seconds": 8.0 + row / 1000, "file_bytes": 2_000_000 + row} | note for row in range(videos)
    ]


def _measure(root: Path) -> list[float]:
    """For each video, seconds to open and bytes of memory; seconds of a commit, a refresh, a look-up."""
    import zarr  # noqa: F401  so that the first commit is not charged with it

    before = _peak_bytes()
    features = _feature_set(root)
    opening = _seconds(lambda: len(features))
    count = len(features)
    held = _peak_bytes() - before
    other = _feature_set(root)
    commits, refreshes = [], []
    for _ in range(COMMITS):
        commits.append(_seconds(lambda: _commit(other)))
        refreshes.append(_seconds(features.refresh))
    assert len(features) == count + COMMITS
    chosen = random.Random(0).sample(list(features.index.rows), min(LOOKUPS, count))
    looking = _seconds(lambda: [features.length(video, "spatial") for video in chosen])
    return [
        opening / count,
        held / count,
        statistics.median(commits),
        statistics.median(refreshes),
        looking / len(chosen),
    ]


def _commit(features: FeatureSet) -> None:
    """By a writer that begins, adds a video and ends, as after each lot of an extraction."""
    items = {name: np.ones((SECONDS, *stream.shape), stream.dtype) for name, stream in STREAMS.items()}
    with features.writer() as writer:
        writer.add(uuid.uuid4().hex, items)


def _seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def _peak_bytes() -> int:
    # Not getrusage: that of a new process begins with the peak of the one that started it.
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(line) * 1024


if __name__ == "__main__":
    main()
