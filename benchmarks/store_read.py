"""How fast a video's features are read: the store and its peers, against raw pread of the same bytes.

    python benchmarks/store_read.py [--videos 100] [--folder /tmp]

Each reads every video once in the same random order, in turn, `--rounds` times; the page cache is warm.
The figure is the median over rounds of the ratio to raw pread, which reads the bytes of a part's chunk files
into a fresh buffer, one video after the other. Writing is set against a plain write and fsync of as many
bytes.
"""

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from store.feature_set import FeatureSet
from store.features import FeatureStore

SHAPE = (8, 256, 1024)
"""Chunks, tokens and width of CLIP ViT-L/14's tokens of a video of 8 s."""


def main() -> None:
    """Write the videos, read them in each way, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        _compare(folder, options.videos, options.rounds)
    finally:
        shutil.rmtree(folder)


def _compare(folder: Path, count: int, rounds: int) -> None:
    videos = [f"video{number}" for number in range(count)]
    features, ratio = _write(folder, videos, rounds)
    gigabytes = features.size_bytes / 1e9
    print(f"{count} videos, {gigabytes:.2f} GB; written at {ratio:.2f} × plain write and fsync")
    ways = _ways(folder, features, videos)
    order = random.Random(0).sample(videos, count)
    for video in order[:3]:
        _require_equal({name: read(video) for name, read in ways.items() if name != "raw pread"})
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, read in ways.items():
            started = time.perf_counter()
            for video in order:
                read(video)
            times[name].append(time.perf_counter() - started)
    for name, measured in times.items():
        ratios = [raw / own for raw, own in zip(times["raw pread"], measured, strict=True)]
        speed = gigabytes / statistics.median(measured)
        print(f"{name:32} {statistics.median(ratios):5.2f} × raw pread   {speed:6.2f} GB/s")


def _write(folder: Path, videos: list[str], rounds: int) -> tuple[FeatureSet, float]:
    """The written features, and the median over rounds of plain seconds by the store's seconds."""
    generator = np.random.default_rng(0)
    tokens = generator.standard_normal(SHAPE, np.float32).astype(np.float16)  # [8, 256, 1024]
    ratios = []
    for number in range(rounds):
        features = FeatureStore(folder / f"store{number}").feature_set("bench", "clip", {})
        started = time.perf_counter()
        with features.writer() as writer:
            for position, video in enumerate(videos):
                tokens[0, 0, 0] = position
                writer.add(video, {"tokens": tokens})
        ended = time.perf_counter()
        _plain_write(folder / "plain", tokens, len(videos))
        ratios.append((time.perf_counter() - ended) / (ended - started))
        if number < rounds - 1:
            shutil.rmtree(folder / f"store{number}")
    for video in videos:
        np.save(folder / f"{video}.npy", features.read(video, "tokens"))
        path = folder / f"{video}.zarr"
        zarr.create_array(path, data=features.read(video, "tokens"), chunks=SHAPE, compressors=None)
    return features, statistics.median(ratios)


def _plain_write(file: Path, tokens: NDArray[Any], count: int) -> None:
    file.unlink(missing_ok=True)
    with file.open("wb") as target:
        for _ in range(count):
            target.write(tokens.data)
        target.flush()
        os.fsync(target.fileno())


def _ways(
    folder: Path, features: FeatureSet, videos: list[str]
) -> dict[str, Callable[[str], NDArray[Any] | bytes]]:
    reused = np.empty(SHAPE, np.float16)
    arrays: dict[str, tuple[zarr.Array[Any], int]] = {}
    for marker in features.index.markers.values():
        array = zarr.open_array(features.path / marker.part / "tokens", mode="r")
        arrays |= dict(
            zip(marker.videos, [(array, o) for o in marker.streams["tokens"].offsets], strict=True)
        )

    def through_zarr(video: str) -> NDArray[Any]:
        array, offset = arrays[video]
        return np.asarray(array[offset : offset + SHAPE[0]])

    return {
        "raw pread": _raw_pread(features, videos),
        "store": lambda video: features.read(video, "tokens"),
        "store, into one array": lambda video: features.read(video, "tokens", out=reused),
        "a .npy for each video": lambda video: np.load(folder / f"{video}.npy"),
        "zarr-python, an array each": lambda video: np.asarray(zarr.open_array(folder / f"{video}.zarr")[:]),
        "zarr-python, the store's parts": through_zarr,
    }


def _raw_pread(features: FeatureSet, videos: list[str]) -> Callable[[str], bytes]:
    size = int(np.prod(SHAPE)) * 2
    places: dict[str, tuple[int, int]] = {}
    files = sorted(features.path.glob("part-*/tokens/c.*"))
    slots = [(file, at) for file in files for at in range(0, file.stat().st_size - size + 1, size)]
    descriptors = {file: os.open(file, os.O_RDONLY) for file in files}
    for video, (file, at) in zip(videos, slots, strict=False):
        places[video] = (descriptors[file], at)
    return lambda video: os.pread(places[video][0], size, places[video][1])


def _require_equal(found: dict[str, Any]) -> None:
    first = found["store"].copy()
    for name, array in found.items():
        if array.tobytes() != first.tobytes():
            raise SystemExit(f"{name} reads other numbers than the store")


if __name__ == "__main__":
    main()
