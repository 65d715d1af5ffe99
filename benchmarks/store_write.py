"""How fast features are written, checked and committed: the store against write, fsync and rename alone.

    python benchmarks/store_write.py [--videos 250] [--rounds 5] [--folder /tmp]

The reference writes the very files that the Zarr store has made, out of memory, one write for each video, and
syncs and renames them. Then zarr-python, h5py and np.save write the same videos, with an fsync of each file.
The first round warms up and does not count.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import zarr

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.ratios import compare
from benchmarks.store_data import SETS, SHAPE, VIDEO_BYTES, fill, names, tokens
from store.durable.commit import sync


def main() -> None:
    """Write in each way, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    videos, features = names(options.videos), tokens()
    gigabytes = options.videos * VIDEO_BYTES / 1e9
    print(f"writing {options.videos} videos, {gigabytes:.2f} GB of float16")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        part = fill(folder / "Zarr", "Zarr", videos, features)
        sizes = [file.stat().st_size for file in part.path.rglob("*") if file.is_file()]
        raw = folder / "raw"
        ways: dict[str, Callable[[], object]] = {"write, fsync, rename": partial(_raw, raw, sizes)}
        for kind in SETS:
            ways[f"this store, {kind}"] = partial(fill, folder / kind, kind, videos, features)
        ways["np.save, a file each"] = partial(_npy, folder / "npy", videos)
        ways["h5py, a dataset each"] = partial(_h5py, folder / "peer.h5", videos)
        ways["zarr-python, an array each"] = partial(_zarr, folder / "peer.zarr", videos)
        for job in ways.values():
            job()
        compare(ways, options.rounds, gigabytes)


def _raw(folder: Path, sizes: list[int]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    content = tokens().reshape(-1).view(np.uint8).data
    for number, size in enumerate(sizes):
        file = folder / f"{number}.tmp"
        with file.open("wb", buffering=0) as target:
            left = size
            while left > 0:
                left -= target.write(content[: min(left, VIDEO_BYTES)])
            os.fsync(target.fileno())
        file.rename(folder / str(number))
    sync(folder)


def _npy(folder: Path, videos: list[str]) -> None:
    features = tokens()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for video in videos:
        with (folder / f"{video}.npy").open("wb") as file:
            np.save(file, features)
            file.flush()
            os.fsync(file.fileno())


def _h5py(path: Path, videos: list[str]) -> None:
    features = tokens()
    with h5py.File(path, "w") as file:
        for video in videos:
            file[video] = features
    sync(path)


def _zarr(folder: Path, videos: list[str]) -> None:
    features = tokens()
    shutil.rmtree(folder, ignore_errors=True)
    group = zarr.create_group(folder)
    for video in videos:
        group.create_array(video, data=features, chunks=SHAPE, compressors=None)
    for file in folder.rglob("*"):
        sync(file)


if __name__ == "__main__":
    main()
