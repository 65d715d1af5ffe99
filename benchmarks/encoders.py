"""How fast encoders run on a device, and how near a whole extraction comes to its slower half.

    python benchmarks/encoders.py [--device cuda] [--precision bfloat16] [--videos 64] [--workers N]

First the device's own matrix rate (the best of square products in that precision), then each encoder of the
pipeline, at real size with random weights: chunks a second, and the share of the matrix rate that its
multiplications come to. Then a whole extraction of generated videos of 540 lines, by all workers, beside
decoding alone and encoding alone of the same videos: the slower of the two is the limit.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.painted import painted_video
from config.load import DEFAULT_FILE, load_settings
from extract.encoders.arrays import PRECISIONS
from extract.encoders.base import Encoder
from extract.encoders.registry import build_encoder
from extract.executors.local import LocalExecutor
from extract.job.job import ExtractionJob
from extract.tasks import Recipe
from extract.video.source import open_video
from extract.video.view import Chunk

SECONDS = 8
SIZE = (960, 540)
MEASURED_SECONDS = 4.0


def main() -> None:
    """Measure, print, and write the figures as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=list(PRECISIONS), default="bfloat16")
    parser.add_argument("--pipeline", default="lmm-vqa")
    parser.add_argument("--videos", type=int, default=64)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rate = matrix_rate(options.device, PRECISIONS[options.precision])
    print(f"{_name(options.device)}: {rate / 1e12:.1f} TFLOP/s in {options.precision} matrix products")
    encoders = _encoders(options)
    figures: dict[str, Any] = {"device": _name(options.device), "matrix_flops": rate, "encoders": {}}
    for name, encoder in encoders.items():
        figures["encoders"][name] = found = _encoder_figures(encoder, options.device)
        share = found["chunk_flops"] * found["chunks_per_second"] / rate
        print(
            f"{name}: {found['chunks_per_second']:.1f} chunks/s in batches of {encoder.batch}, "
            f"{found['chunk_flops'] / 1e9:.1f} GFLOP each: {share:.1%} of the matrix rate"
        )
    figures["extraction"] = _extraction_figures(encoders, figures["encoders"], options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def matrix_rate(device: str, dtype: torch.dtype, side: int | None = None) -> float:
    """Floating-point operations a second in a large square matrix product: the best of several."""
    side = side or (8192 if device.startswith("cuda") else 1024)
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(20):
        _finish(device)
        started = time.perf_counter()
        left @ right
        _finish(device)
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def _encoder_figures(encoder: Encoder, device: str) -> dict[str, float]:
    chunks = _chunks(encoder)
    with FlopCounterMode(display=False) as counter:
        encoder.encode(chunks)
    rounds, started = 0, time.perf_counter()
    while time.perf_counter() - started < MEASURED_SECONDS:
        encoder.encode(chunks)
        rounds += 1
    _finish(device)
    seconds = time.perf_counter() - started
    return {
        "chunks_per_second": rounds * len(chunks) / seconds,
        "chunk_flops": counter.get_total_flops() / len(chunks),
    }


def _extraction_figures(
    encoders: dict[str, Encoder], measured: dict[str, dict[str, float]], options: argparse.Namespace
) -> dict[str, float]:
    """Videos a second: decoding alone, encoding alone (from the encoders' own rates), and the whole."""
    encode = 1 / sum(SECONDS / found["chunks_per_second"] for found in measured.values())
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        videos = [painted_video(Path(folder) / "video.mp4", *SIZE, SECONDS)] * options.videos
        with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
            pool.map(_decode_only, videos[: options.workers], chunksize=1)
            started = time.perf_counter()
            pool.map(_decode_only, videos, chunksize=1)
            decode = len(videos) / (time.perf_counter() - started)
        recipe = Recipe(Path(folder) / "store", "zarr", "bench", (), options.workers, 600.0, 60.0)
        executor = LocalExecutor(recipe, options.device, encoders)
        job = ExtractionJob(recipe, encoders)
        warm = {f"warm-{number}": path for number, path in enumerate(videos[: options.workers])}
        job.run(warm, executor, quiet=True)
        named = {str(number): path for number, path in enumerate(videos)}
        summary = job.run(named, executor, quiet=True)
        executor.close()
    whole = summary.done / summary.seconds
    print(
        f"{options.videos} videos of {SECONDS} s, {SIZE[1]} lines, {options.workers} workers: decoding alone "
        f"{decode:.2f} videos/s, encoding alone {encode:.2f}, together {whole:.2f}: "
        f"{whole / min(decode, encode):.2f} of the slower half"
    )
    return {"decode_only": decode, "encode_only": encode, "together": whole}


def _encoders(options: argparse.Namespace) -> dict[str, Encoder]:
    settings = load_settings(DEFAULT_FILE, [])
    names = settings.pipelines[options.pipeline].encoders
    changes = [f"encoders.{name}.weights=random:0" for name in names]
    changes += [f"encoders.{name}.precision={options.precision}" for name in names]
    changes += [f"encoders.{name}.compile=true" for name in names if options.compile]
    settings = load_settings(DEFAULT_FILE, changes + options.overrides)
    return {name: build_encoder(settings.encoders[name], options.device) for name in names}


def _chunks(encoder: Encoder) -> list[Chunk]:
    """A batch of noise."""
    random = np.random.default_rng(0)
    chunks = []
    for index in range(encoder.batch):
        frames = {}
        for name, request in encoder.view.requests.items():
            if request.size is None or request.rule == "all":
                raise SystemExit("encoders of whole videos, or of native size, are not measured here")
            frames[name] = random.integers(0, 256, (request.count, 3, *request.size), np.uint8)
        chunks.append(Chunk(index, float(index), frames))
    return chunks


def _decode_only(path: Path) -> None:
    with open_video(path, 1) as (container, stream):
        for _ in container.decode(stream):
            pass


def _name(device: str) -> str:
    return (
        torch.cuda.get_device_name(device)
        if device.startswith("cuda")
        else f"CPU, {torch.get_num_threads()} threads"
    )


def _finish(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
