"""Features that a video's id alone decides, and processes that write them until they are stopped.

Run as a program, it imports everything once and forks its writers: see `main`.
"""

import os
import random
import signal
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.features import FeatureSet, FeatureStore

SPECIFICATION = {"kind": "test", "seed": 0}


def features_of(video: str, version: int = 0) -> dict[str, NDArray[Any]]:
    """Two streams of different shape, dtype and length."""
    generator = np.random.default_rng([zlib.crc32(video.encode("utf-8", "surrogatepass")), version])
    items = int(generator.integers(1, 8))
    return {
        "spatial": generator.standard_normal((items, 3, 5)).astype(np.float32),
        "temporal": generator.standard_normal((items + 2, 7)).astype(np.float16),
    }


def feature_set(root: Path, backend: str = "zarr") -> FeatureSet:
    """The feature set that all of these tests write to."""
    return FeatureStore(root, backend).feature_set("demo", "random", SPECIFICATION)


def write(features: FeatureSet, videos: list[str], version: int = 0, **sizes: int) -> None:
    """Write and commit the videos."""
    with features.writer(**sizes) as writer:
        for video in videos:
            writer.add(video, features_of(video, version))


def assert_holds(features: FeatureSet, videos: list[str], version: int = 0) -> None:
    """Every stream of the videos reads back bit for bit."""
    for video in videos:
        for stream, expected in features_of(video, version).items():
            found = features.read(video, stream)
            assert found.dtype == expected.dtype
            assert found.tobytes() == expected.tobytes(), (video, stream)


def marker_of(features: FeatureSet, video: str) -> Path:
    """The file of the marker of a video's part."""
    return features.path / features.index.row(video, "")[0].file


def _fork(root: Path, backend: str, name: str, count: int) -> int:
    child = os.fork()
    if child:
        return child
    features = feature_set(root, backend)
    told = os.open(_told(root, name), os.O_WRONLY | os.O_CREAT)
    with features.writer(part_bytes=3000, chunk_bytes=400) as writer:
        for number in range(count):
            video = f"{name}/{number}"
            writer.add(video, features_of(video))
            mine = sum(
                len(m.videos) for m in features.index.markers.values() if m.videos[0].startswith(f"{name}/")
            )
            os.pwrite(told, f"{mine:9}".encode(), 0)
    os._exit(0)


def _told(root: Path, name: str) -> Path:
    """Where a writer notes how many of its videos are committed."""
    return root / f"{name}.committed"


def _require_all_that_were_committed(root: Path, name: str) -> None:
    """What a writer knew to be committed must be there, and of the rest at most the part it was at."""
    committed = int(_told(root, name).read_text() or 0)
    there = {video for video in feature_set(root).videos() if video.startswith(f"{name}/")}
    if not {f"{name}/{number}" for number in range(committed)} <= there:
        sys.exit(f"{name} had committed {committed} videos; {len(there)} are there")


def _kill_within_a_part(child: int, folder: Path) -> None:
    while True:
        os.kill(child, signal.SIGSTOP)
        os.waitpid(child, os.WUNTRACED)
        if any(folder.glob("*.tmp-*")):
            break
        os.kill(child, signal.SIGCONT)
        time.sleep(random.uniform(0, 0.002))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main(root: Path, mode: str, backend: str) -> None:
    """`kill`: kill five writers, one after the other, at random moments. `together`: four write at once."""
    import h5py  # noqa: F401  so that the forked writers need not
    import zarr  # noqa: F401

    if mode == "together":
        children = [_fork(root, backend, f"writer{number}", 30) for number in range(4)]
        sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
    for trial in range(5):
        name = f"trial{trial} of {os.getpid()}"
        child = _fork(root, backend, name, 10**9)
        while not any(video.startswith(f"{name}/") for video in feature_set(root).videos()):
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.2))
        _kill_within_a_part(child, feature_set(root).path)
        _require_all_that_were_committed(root, name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
