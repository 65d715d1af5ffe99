"""How fast videos become pictures and features, against decoding alone and against the peers' way.

    python benchmarks/extraction.py [--videos FOLDER] [--workers 2] [--rounds 3]

Every way goes through the same videos, in turn, in the same run, and is given all cores: the figure is the
median over rounds of the ratio to decoding alone. Decoding alone is measured twice: as most people do it
(one process, all threads) and as it is fastest here (one thread in each of several processes).

The videos: the .mp4 files of a folder (OpenCV's wheels cannot decode AV1), and generated ones of 720 and
1080 lines. The peers' way is that of common code for video quality, one pass for the key frames and one for
the clips, each with OpenCV and PIL: as it is run (one process, OpenCV's own threads), and in as many
processes as ours.
"""

import argparse
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from multiprocessing.pool import Pool
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.painted import painted_video
from benchmarks.stand_in import SIZE, stand_ins
from config.schema import EncoderSettings
from extract.encoders.base import Encoder
from extract.encoders.registry import build_encoder
from extract.executors.local import LocalExecutor
from extract.job.job import ExtractionJob
from extract.tasks import Recipe
from extract.video.decode import decode
from extract.video.source import open_video
from extract.video.view import FrameRequest, View

GENERATED = {"generated 720p": (1280, 720), "generated 1080p": (1920, 1080)}
GENERATED_SECONDS = 4
TINY = {"patch_size": 32, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2}
TINY_ENCODERS = [
    EncoderSettings(
        name=kind, kind=kind, weights="random:0", layer=1, architecture={**TINY, "num_hidden_layers": 1}
    )
    for kind in ("clip", "videomae")
]
VIEWS = {name: encoder.view for name, encoder in stand_ins().items()}

_arrays: dict[tuple[str, str], NDArray[np.uint8]] = {}


def decode_only(path: Path, threads: int = 1) -> None:
    """Every frame, decoded and dropped."""
    with open_video(path, threads) as (container, stream):
        for _ in container.decode(stream):
            pass


def decode_and_resize(path: Path) -> None:
    """What a decode worker does: one pass, the pictures of both branches in arrays that are used again."""
    for _ in decode(path, VIEWS, allocate=_reused):
        pass


def peers(path: Path) -> None:
    """Two passes, one for each branch."""
    _opencv_and_pil(path, lambda frame, fps: frame % fps == 0)
    _opencv_and_pil(path, lambda frame, fps: frame % fps < 32)


def main() -> None:
    """Measure each group of videos, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=Path, default=Path(__file__).parents[2] / "shared/data/videos")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        groups = {
            name: [painted_video(Path(folder) / f"{name}.mp4", *size, GENERATED_SECONDS)] * 4
            for name, size in GENERATED.items()
        }
        real = sorted(options.videos.glob("*.mp4"), key=lambda path: -path.stat().st_size)
        if real:
            groups = {f"{len(real)} real videos": real, **groups}
        else:
            print(f"no videos in {options.videos}: generated ones only")
        with multiprocessing.get_context("spawn").Pool(options.workers, _one_thread) as pool:
            for name, videos in groups.items():
                _compare(name, videos, pool, options.workers, options.rounds, Path(folder))


def _compare(name: str, videos: list[Path], pool: Pool, workers: int, rounds: int, folder: Path) -> None:
    free, tiny = (_Extraction(encoders, workers, folder) for encoders in (stand_ins(), _tiny()))
    ways: dict[str, Callable[[], None]] = {
        "decode only, one process, all threads": lambda: _each(videos, lambda path: decode_only(path, 0)),
        f"decode only, {workers} processes": lambda: _in_pool(pool, decode_only, videos),
        f"decode + resize, {workers} processes": lambda: _in_pool(pool, decode_and_resize, videos),
        "peers: OpenCV + PIL, two passes, one process": lambda: _each(videos, peers),
        f"peers, in {workers} processes": lambda: _in_pool(pool, peers, videos),
        f"extraction, encoders of no cost, {workers} workers": lambda: free(videos),
        f"extraction, tiny CLIP and VideoMAE, {workers} workers": lambda: tiny(videos),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, run in ways.items():
            started = time.perf_counter()
            run()
            if number:  # the first round warms up
                seconds[way].append(time.perf_counter() - started)
    free.close()
    tiny.close()
    frames = sum(_frames(path) for path in videos)
    threads, processes, *_ = ways
    exact = _decibels(videos)
    print(f"\n{name}: {frames} frames, {statistics.median(exact):.1f} dB from PIL's (least {min(exact):.1f})")
    print(f"{'':58} frames/s   of all threads   of {workers} processes")
    for way, measured in seconds.items():
        rate = frames / statistics.median(measured)
        shares = [
            statistics.median(base / own for base, own in zip(seconds[reference], measured, strict=True))
            for reference in (threads, processes)
        ]
        print(f"{way:58} {rate:8.0f}   {shares[0]:14.2f}   {shares[1]:14.2f}")


def _each(videos: Iterable[Path], run: Callable[[Path], None]) -> None:
    for path in videos:
        run(path)


def _in_pool(pool: Pool, run: Callable[[Path], None], videos: list[Path]) -> None:
    for _ in pool.imap_unordered(run, videos):
        pass


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _reused(view: str, request: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    array = _arrays.get((view, request))
    if array is None or array.shape != shape:
        array = _arrays[view, request] = np.empty(shape, np.uint8)
    return array


def _opencv_and_pil(path: Path, wanted: Callable[[int, int], bool]) -> None:
    capture = cv2.VideoCapture(str(path))
    fps = max(1, round(capture.get(cv2.CAP_PROP_FPS)))
    pictures, frame = [], 0
    while True:
        there, picture = capture.read()
        if not there:
            break
        if wanted(frame, fps):
            rgb = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            pictures.append(np.asarray(rgb.resize(SIZE, Image.Resampling.BILINEAR)))
        frame += 1
    capture.release()
    np.stack(pictures)  # [frames, 224, 224, 3]


def _tiny() -> dict[str, Encoder]:
    return {settings.name: build_encoder(settings) for settings in TINY_ENCODERS}


class _Extraction:
    """A whole extraction, whose processes and models stay from round to round."""

    def __init__(self, encoders: dict[str, Encoder], workers: int, folder: Path) -> None:
        self._encoders = encoders
        self._recipe = Recipe(Path(tempfile.mkdtemp(dir=folder)), "zarr", "bench", (), workers, 600.0, 60.0)
        self._executor = LocalExecutor(self._recipe, "cpu", encoders)
        self._rounds = 0

    def __call__(self, videos: list[Path]) -> None:
        """Extract the videos under new ids."""
        self._rounds += 1
        named = {f"{self._rounds}-{number}": path for number, path in enumerate(videos)}
        summary = ExtractionJob(self._recipe, self._encoders).run(named, self._executor, quiet=True)
        if summary.quarantined:
            raise SystemExit(f"not extracted: {summary.quarantined}")

    def close(self) -> None:
        """End the processes, delete the features."""
        self._executor.close()
        shutil.rmtree(self._recipe.store)


def _frames(path: Path) -> int:
    decoding = decode(path, VIEWS, allocate=_reused)
    for _ in decoding:
        pass
    return decoding.info.frames


def _decibels(videos: list[Path]) -> list[float]:
    """Of each video's first picture to that of PIL's antialiased bilinear filter."""
    views = {"view": View({"native": FrameRequest(1, "first"), "small": FrameRequest(1, "first", SIZE)})}
    found = []
    for path in set(videos):
        decoding = decode(path, views)
        frames = next(decoding)[1].frames
        decoding.close()
        native, small = (frames[name][0].transpose(1, 2, 0) for name in ("native", "small"))
        exact = np.asarray(Image.fromarray(native).resize(SIZE, Image.Resampling.BILINEAR), float)
        found.append(float(10 * np.log10(255**2 / np.mean((exact - small) ** 2))))
    return found


if __name__ == "__main__":
    main()
