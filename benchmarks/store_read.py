"""How fast a video's features are read: the store and its peers, against raw pread of the same bytes.

    python benchmarks/store_read.py [--videos 100] [--folder /tmp]

Each reads every video once in the same random order, in turn, `--rounds` times; the page cache is warm.
The figure is the median over rounds of the ratio to raw pread, which reads the bytes of a part's chunk files
into a fresh buffer, one video after the other. Writing is set against a plain write and fsync of as many
bytes. Through a DataLoader of two workers, the ratio is to raw pread in the workers, sent as torch sends
whatever a dataset returns.
"""

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).parents[1]))

from store.feature_set import FeatureSet
from store.features import FeatureStore
from store.torch_view import StoredFeatures

SHAPE = (8, 256, 1024)
"""Chunks, tokens and width of CLIP ViT-L/14's tokens of a video of 8 s."""
SETS = {"zarr": ("zarr", "float16"), "hdf5": ("hdf5", "float16"), "int8": ("zarr", "int8")}
"""Name → backend and dtype."""

Sets = Mapping[str, FeatureSet]
Read = Callable[[str], NDArray[Any] | bytes]


def main() -> None:
    """Write the videos, read them in each way, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    videos = [f"video{number}" for number in range(options.videos)]
    try:
        sets = _write(folder, videos, options.rounds)
        order = random.Random(0).sample(videos, len(videos))
        _compare_reads(folder, sets, order, options.rounds)
        _compare_loaders(sets, order, options.rounds)
    finally:
        shutil.rmtree(folder)


def _compare_reads(folder: Path, sets: Sets, order: list[str], rounds: int) -> None:
    raw = _RawVideos(sets["zarr"], order)
    ways = _ways(folder, sets) | {"raw pread": raw.read}
    for video in order[:3]:
        first = sets["zarr"].read(video, "tokens").tobytes()
        for name, read in ways.items():
            if "int8" not in name and bytes(read(video)) != first:
                raise SystemExit(f"{name} reads other numbers than the store")

    def one_after_the_other(read: Read) -> None:
        for video in order:
            read(video)

    jobs = {name: (lambda read=read: one_after_the_other(read)) for name, read in ways.items()}
    _print_ratios(jobs, "raw pread", rounds, len(order))


def _compare_loaders(sets: Sets, order: list[str], rounds: int) -> None:
    datasets: dict[str, Dataset[Any]] = {"raw pread, 2 workers": _RawVideos(sets["zarr"], order)}
    for name, features in sets.items():
        datasets[f"store ({name}), 2 workers"] = StoredFeatures(features, order)
    loaders = {
        name: DataLoader(dataset, batch_size=None, num_workers=2, persistent_workers=True)
        for name, dataset in datasets.items()
    }

    def through(loader: DataLoader[Any]) -> None:
        for _ in loader:
            pass

    jobs = {name: (lambda loader=loader: through(loader)) for name, loader in loaders.items()}
    for job in jobs.values():
        job()  # starts the workers
    _print_ratios(jobs, "raw pread, 2 workers", rounds, len(order))


def _print_ratios(jobs: Mapping[str, Callable[[], None]], reference: str, rounds: int, videos: int) -> None:
    """Do each job in turn, round after round; print speeds and the median ratio to the reference's."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - started)
    gigabytes = videos * int(np.prod(SHAPE)) * 2 / 1e9
    for name, measured in times.items():
        ratios = [first / own for first, own in zip(times[reference], measured, strict=True)]
        speed = gigabytes / statistics.median(measured)
        print(f"{name:32} {statistics.median(ratios):5.2f} × {reference}   {speed:6.2f} GB/s of float16")


def _write(folder: Path, videos: list[str], rounds: int) -> dict[str, FeatureSet]:
    """The written sets; prints the median over rounds of plain seconds by each one's seconds."""
    generator = np.random.default_rng(0)
    tokens = generator.standard_normal(SHAPE, np.float32).astype(np.float16)  # [8, 256, 1024]
    sets: dict[str, FeatureSet] = {}
    ratios: dict[str, list[float]] = {name: [] for name in SETS}
    for number in range(rounds):
        plain = _plain_write(folder / "plain", tokens, len(videos))
        for name, (backend, dtype) in SETS.items():
            if name in sets:
                shutil.rmtree(sets[name].path)
            store = FeatureStore(folder / name, backend)
            sets[name] = store.feature_set(f"round{number}", "clip", {"dtype": dtype})
            ratios[name].append(plain / _fill(sets[name], videos, tokens))
    for name, measured in ratios.items():
        size = sets[name].size_bytes / 1e9
        ratio = statistics.median(measured)
        print(
            f"{name}: {len(videos)} videos, {size:.2f} GB; written at {ratio:.2f} × plain write and fsync"
            " of the same features as float16"
        )
    for video in videos:
        np.save(folder / f"{video}.npy", sets["zarr"].read(video, "tokens"))
        path = folder / f"{video}.zarr"
        zarr.create_array(path, data=sets["zarr"].read(video, "tokens"), chunks=SHAPE, compressors=None)
    return sets


def _fill(features: FeatureSet, videos: list[str], tokens: NDArray[Any]) -> float:
    started = time.perf_counter()
    with features.writer() as writer:
        for position, video in enumerate(videos):
            tokens[0, 0, 0] = position
            writer.add(video, {"tokens": tokens})
    return time.perf_counter() - started


def _plain_write(file: Path, tokens: NDArray[Any], count: int) -> float:
    file.unlink(missing_ok=True)
    started = time.perf_counter()
    with file.open("wb") as target:
        for _ in range(count):
            target.write(tokens.data)
        target.flush()
        os.fsync(target.fileno())
    return time.perf_counter() - started


def _ways(folder: Path, sets: Sets) -> dict[str, Read]:
    reused = np.empty(SHAPE, np.float16)
    arrays = _opened(sets["zarr"], lambda part: zarr.open_array(part / "tokens", mode="r"))
    datasets = _opened(sets["hdf5"], lambda part: h5py.File(part)["tokens"])

    def sliced(place: tuple[Any, int]) -> NDArray[Any]:
        array, offset = place
        return np.asarray(array[offset : offset + SHAPE[0]])

    return {
        "store": lambda video: sets["zarr"].read(video, "tokens"),
        "store, into one array": lambda video: sets["zarr"].read(video, "tokens", out=reused),
        "store, HDF5": lambda video: sets["hdf5"].read(video, "tokens"),
        "store, HDF5, into one array": lambda video: sets["hdf5"].read(video, "tokens", out=reused),
        "store, int8": lambda video: sets["int8"].read(video, "tokens"),
        "a .npy for each video": lambda video: np.load(folder / f"{video}.npy"),
        "zarr-python, an array each": lambda video: np.asarray(zarr.open_array(folder / f"{video}.zarr")[:]),
        "zarr-python, the store's parts": lambda video: sliced(arrays[video]),
        "h5py, the store's parts": lambda video: sliced(datasets[video]),
    }


def _opened(features: FeatureSet, open_part: Callable[[Path], Any]) -> dict[str, tuple[Any, int]]:
    """Video → its part's array, opened once, and the first item in it."""
    places: dict[str, tuple[Any, int]] = {}
    for marker in features.index.markers.values():
        array = open_part(features.path / marker.part)
        offsets = marker.streams["tokens"].offsets
        places |= {video: (array, offset) for video, offset in zip(marker.videos, offsets, strict=True)}
    return places


class _RawVideos(Dataset[torch.Tensor]):
    """Reads the bytes of a part's chunk files; as a dataset, as a tensor."""

    def __init__(self, features: FeatureSet, order: list[str]) -> None:
        self._size = int(np.prod(SHAPE)) * 2
        self._order = order
        self._places: dict[str, tuple[int, int]] = {}
        for marker in features.index.markers.values():
            rows = marker.streams["tokens"]
            files = sorted(
                (features.path / marker.part / "tokens").glob("c.*"), key=lambda f: int(f.name.split(".")[1])
            )
            descriptors = [os.open(file, os.O_RDONLY) for file in files]
            for video, offset in zip(marker.videos, rows.offsets, strict=True):
                # Chunk files hold whole videos here: 96 items are a multiple of 8.
                chunk, within = divmod(offset, rows.chunk_items)
                self._places[video] = (descriptors[chunk], within * rows.stream_shape.item_bytes)

    def read(self, video: str) -> bytes:
        descriptor, position = self._places[video]
        return os.pread(descriptor, self._size, position)

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> torch.Tensor:
        descriptor, position = self._places[self._order[index]]
        tokens = torch.empty(SHAPE, dtype=torch.float16)
        os.preadv(descriptor, [tokens.numpy().data], position)
        return tokens


if __name__ == "__main__":
    main()
