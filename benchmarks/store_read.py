"""How fast a video's features are read: the store and its peers, against raw pread of the same bytes.

    python benchmarks/store_read.py [--videos 250] [--rounds 5] [--folder /tmp] [--ways REGEX]

Each way reads every video once in the same random order, in turn, round after round. Raw pread opens the
file that holds a video's bytes, reads them into a fresh buffer and closes it. Warm: all is in the page cache.
Cold: the files' pages are dropped from it before each way begins (posix_fadvise). Through a DataLoader of two
workers, the reference is raw pread in the workers, sent as torch sends whatever a dataset returns.
"""

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.ratios import compare
from benchmarks.store_data import SETS, SHAPE, VIDEO_BYTES, fill, names, shuffled, tokens
from store.backends.registry import backend
from store.feature_set import FeatureSet
from store.torch_view import StoredFeatures

Sets = Mapping[str, FeatureSet]
Read = Callable[[str], NDArray[Any] | bytes]


def main() -> None:
    """Write the videos, read them in each way, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument(
        "--ways", default="", help="regular expression: which ways to take beside the raw one"
    )
    options = parser.parse_args()
    order = shuffled(names(options.videos))
    gigabytes = options.videos * VIDEO_BYTES / 1e9
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        features = tokens()
        sets = {kind: fill(folder / kind, kind, names(options.videos), features) for kind in SETS}
        ways = _chosen(_ways(folder, sets, order), options.ways)
        _require_equal(ways, order[:3])
        jobs = {name: partial(_read_all, read, order) for name, read in ways.items()}
        print(f"warm: {options.videos} videos, {gigabytes:.2f} GB as float16")
        compare(jobs, options.rounds, gigabytes)
        _print_latencies(ways, order)
        files = [file for file in folder.rglob("*") if file.is_file()]
        print("cold")
        compare(
            {name: job for name, job in jobs.items() if "verified" not in name},
            options.rounds,
            gigabytes,
            lambda _: _drop(files),
        )
        print("warm, into the training process")
        compare(_chosen(_loaders(sets, order), options.ways), options.rounds, gigabytes)


def _ways(folder: Path, sets: Sets, order: list[str]) -> dict[str, Read]:
    for video in order:
        features = sets["Zarr"].read(video, "tokens")
        np.save(folder / f"{video}.npy", features)
        zarr.create_array(folder / f"{video}.zarr", data=features, chunks=SHAPE, compressors=None)
    reused = np.empty(SHAPE, np.float16)
    arrays = _opened(sets["Zarr"], lambda part: zarr.open_array(part / "tokens", mode="r"))
    datasets = _opened(sets["HDF5"], lambda part: h5py.File(part)["tokens"])

    def sliced(places: Mapping[str, tuple[Any, int]], video: str) -> NDArray[Any]:
        array, first = places[video]
        return np.asarray(array[first : first + SHAPE[0]])

    return {
        "raw pread": _RawVideos(sets["Zarr"], order).read,
        **{f"this store, {kind}": partial(_read, features) for kind, features in sets.items()},
        "this store, Zarr, into one array": lambda video: sets["Zarr"].read(video, "tokens", out=reused),
        "this store, Zarr, verified": lambda video: sets["Zarr"].read_verified(video, "tokens"),
        "this store, HDF5, verified": lambda video: sets["HDF5"].read_verified(video, "tokens"),
        "np.load, a file each": lambda video: np.load(folder / f"{video}.npy"),
        "zarr-python, an array each": lambda video: np.asarray(zarr.open_array(folder / f"{video}.zarr")[:]),
        "zarr-python, this store's parts": partial(sliced, arrays),
        "h5py, this store's parts": partial(sliced, datasets),
    }


def _chosen(ways: dict[str, Any], expression: str) -> dict[str, Any]:
    return {name: way for name, way in ways.items() if "raw pread" in name or re.search(expression, name)}


def _read(features: FeatureSet, video: str) -> NDArray[Any]:
    return features.read(video, "tokens")


def _read_all(read: Read, order: Iterable[str]) -> None:
    for video in order:
        read(video)


def _require_equal(ways: Mapping[str, Read], videos: Iterable[str]) -> None:
    for video in videos:
        expected = bytes(ways["raw pread"](video))
        for name, read in ways.items():
            if "int8" not in name and bytes(read(video)) != expected:
                raise SystemExit(f"{name} reads other numbers than raw pread")


def _print_latencies(ways: Mapping[str, Read], order: list[str]) -> None:
    print("milliseconds a video, warm: median, 99th percentile")
    for name, read in ways.items():
        times = []
        for video in order:
            started = time.perf_counter()
            read(video)
            times.append(1e3 * (time.perf_counter() - started))
        print(f"  {name:44} {statistics.median(times):6.2f} {np.percentile(times, 99):6.2f}")


def _loaders(sets: Sets, order: list[str]) -> dict[str, Callable[[], None]]:
    datasets: dict[str, tuple[Dataset[Any], Callable[[Any], Any] | None]] = {
        "raw pread as tensors, 2 workers": (_RawVideos(sets["Zarr"], order), None),
        "raw pread through pickle, 2 workers": (_RawVideos(sets["Zarr"], order, pickled=True), _unchanged),
    }
    for kind in SETS:
        datasets[f"this store, {kind}, 2 workers"] = (StoredFeatures(sets[kind], order), None)
    loaders = {
        name: DataLoader(dataset, batch_size=None, num_workers=2, persistent_workers=True, collate_fn=collate)
        for name, (dataset, collate) in datasets.items()
    }
    jobs: dict[str, Callable[[], None]] = {name: partial(_drain, loader) for name, loader in loaders.items()}
    for job in jobs.values():
        job()  # starts the workers
    for kind in SETS:
        ahead = StoredFeatures(sets[kind], order)
        jobs[f"this store, {kind}, read ahead by 2 threads"] = lambda ahead=ahead: _drain(ahead.read_ahead())
    return jobs


def _drain(videos: Iterable[Any]) -> None:
    for _ in videos:
        pass


def _unchanged(sample: Any) -> Any:
    return sample


def _drop(files: Iterable[Path]) -> None:
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _opened(features: FeatureSet, open_part: Callable[[Path], Any]) -> dict[str, tuple[Any, int]]:
    """Video → its part's array, opened once, and the first item in it."""
    places: dict[str, tuple[Any, int]] = {}
    for marker in features.index.markers.values():
        array = open_part(features.path / marker.part)
        offsets = marker.streams["tokens"].offsets
        places |= {video: (array, offset) for video, offset in zip(marker.videos, offsets, strict=True)}
    return places


class _RawVideos(Dataset[Any]):
    """Reads the bytes of a part's chunk files; as a dataset, as a tensor or to be pickled."""

    def __init__(self, features: FeatureSet, order: list[str], pickled: bool = False) -> None:
        self._order = order
        self._pickled = pickled
        self._places: dict[str, tuple[str, int]] = {}
        for marker in features.index.markers.values():
            rows = marker.streams["tokens"]
            for video, first in zip(marker.videos, rows.offsets, strict=True):
                # Chunk files hold whole videos here.
                (span,) = backend("zarr").spans("tokens", rows, first, SHAPE[0], VIDEO_BYTES // SHAPE[0])
                self._places[video] = (f"{features.path / marker.part}{span.file}", span.start)

    def read(self, video: str) -> bytes:
        file, position = self._places[video]
        descriptor = os.open(file, os.O_RDONLY)
        content = os.pread(descriptor, VIDEO_BYTES, position)
        os.close(descriptor)
        return content

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> Any:
        if self._pickled:
            return np.frombuffer(self.read(self._order[index]), np.float16).reshape(SHAPE)
        file, position = self._places[self._order[index]]
        features = torch.empty(SHAPE, dtype=torch.float16)
        descriptor = os.open(file, os.O_RDONLY)
        os.preadv(descriptor, [features.numpy().data], position)
        os.close(descriptor)
        return features


if __name__ == "__main__":
    main()
