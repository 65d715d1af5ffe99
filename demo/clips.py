"""A labelled dataset of small generated videos, really encoded: filmed scenes and their distorted copies."""

import csv
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from av.video.frame import VideoFrame
from numpy.random import Generator
from tqdm import tqdm

from demo.camera import SIZE_SHARES, SIZES, Take, film
from demo.labelling import clip_ssim, quality
from evaluate.degrade import blurred, frozen_indices, noisy
from evaluate.footage import read_footage, write_footage

VERSION = 1
"""Raised whenever the same seed gives other videos or labels."""

SECONDS = 2.0
_PRISTINE_CRF = (8, 14)
_PRESETS = ("superfast", "veryfast")


@dataclass(frozen=True)
class Distortion:
    """What is done to a clip before it is encoded, and how hard it is compressed."""

    kind: str
    crf: int
    blur_sigma: float = 0.0
    noise_sigma: float = 0.0
    frozen_share: float = 0.0


@dataclass(frozen=True)
class Row:
    """One line of labels.csv."""

    video: str
    mos: float
    split: str
    content: str
    distortion: str
    ssim: float
    crf: int
    blur_sigma: float
    noise_sigma: float
    frozen_share: float
    width: int
    height: int
    fps: int
    scene: str


def make_dataset(folder: Path, *, contents: int, seed: int, workers: int = 2, lines: int = 360) -> Path:
    """Generate videos/*.mp4 and labels.csv, and give the path of the labels.

    No clip has more than `lines` lines. Each content is filmed once and copied with several distortions; splits (70 % train, 10 % val, 20 %
    test) keep the copies of a content together. The same seed gives the same dataset, with any number of
    workers. A finished dataset of the same settings is reused, anything else in its place is made anew.
    """
    marker, labels = folder / "complete.json", folder / "labels.csv"
    made = {"version": VERSION, "contents": contents, "seed": seed, "seconds": SECONDS, "lines": lines}
    if marker.is_file() and json.loads(marker.read_text()) == made:
        return labels
    marker.unlink(missing_ok=True)
    shutil.rmtree(folder / "videos", ignore_errors=True)
    (folder / "videos").mkdir(parents=True)
    rows = [row for rows in _generated(folder / "videos", contents, seed, workers, lines) for row in rows]
    with labels.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    marker.write_text(json.dumps(made))
    return labels


def content_splits(contents: int, seed: int) -> list[str]:
    """Split of each content; every split has at least one where there are three contents or more."""
    order = np.random.default_rng([seed, contents]).permutation(contents)
    tests, validations = max(1, round(0.2 * contents)), max(1, round(0.1 * contents))
    splits = ["train"] * contents
    for place, content in enumerate(order[: tests + validations]):
        splits[content] = "test" if place < tests else "val"
    return splits


def _generated(folder: Path, contents: int, seed: int, workers: int, lines: int) -> Iterator[list[Row]]:
    make = partial(make_content, folder, seed=seed, splits=content_splits(contents, seed), lines=lines)
    progress: Any = partial(tqdm, total=contents, desc="contents", unit="content")
    if workers <= 1:
        yield from progress(map(make, range(contents)))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        yield from progress(pool.map(make, range(contents)))


def _one_thread() -> None:
    torch.set_num_threads(1)


def make_content(folder: Path, content: int, *, seed: int, splits: list[str], lines: int) -> list[Row]:
    """Film one content and write all its copies; gives their rows."""
    random = np.random.default_rng([seed, content])
    size = _size(random, lines)
    take = film(random, size, SECONDS)
    rows = []
    for number, distortion in enumerate(distortions(random)):
        name = f"{content:03d}-{number}-{distortion.kind}"
        file = folder / f"{name}.mp4"
        frames = distorted(take, distortion, int(random.integers(0, 2**31)))
        write_footage(file, frames, take.times, distortion.crf, str(random.choice(_PRESETS)))
        shown = read_footage(file, seconds=2 * SECONDS, max_lines=sum(size)).frames
        similarity = clip_ssim(take.frames, shown)
        mos = quality(similarity, distortion.frozen_share)
        parts = {key: value for key, value in asdict(distortion).items() if key != "kind"}
        rows.append(
            Row(
                video=name, mos=mos, split=splits[content], content=f"{content:03d}",
                distortion=distortion.kind, ssim=round(similarity, 5), **parts,
                width=size[0], height=size[1], fps=take.fps, scene=take.scene,
            )
        )  # fmt: skip
    return rows


def _size(random: Generator, lines: int) -> tuple[int, int]:
    shares = np.array(SIZE_SHARES) * [height <= lines for _, height in SIZES]
    return SIZES[int(random.choice(len(SIZES), p=shares / shares.sum()))]


def distortions(random: Generator) -> list[Distortion]:
    """The pristine copy and seven others: each kind alone, light and heavy, and a mixture or a freeze."""

    def clean() -> int:
        return int(random.integers(*_PRISTINE_CRF))

    def between(low: float, high: float, half: int) -> float:
        share = (half + random.random()) / 2
        return round(float(low * (high / low) ** share), 3)

    chosen = [Distortion("pristine", clean())]
    for half in (0, 1):
        chosen.append(Distortion("crf", round(between(22, 48, half))))
        chosen.append(Distortion("blur", clean(), blur_sigma=between(0.6, 5.0, half)))
    chosen.append(Distortion("noise", clean(), noise_sigma=between(2.5, 28, int(random.integers(0, 2)))))
    chosen.append(Distortion("freeze", clean(), frozen_share=between(0.08, 0.85, int(random.integers(0, 2)))))
    kinds = random.random(3) < 0.5
    mixture = Distortion(
        "mixture",
        round(between(20, 42, int(random.integers(0, 2)))),
        blur_sigma=between(0.6, 3.0, int(random.integers(0, 2))) if kinds[0] else 0.0,
        noise_sigma=between(2.0, 15, int(random.integers(0, 2))) if kinds[1] else 0.0,
        frozen_share=between(0.08, 0.7, int(random.integers(0, 2))) if kinds[2] else 0.0,
    )
    freeze = Distortion("freeze", clean(), frozen_share=between(0.08, 0.85, int(random.integers(0, 2))))
    return [*chosen, mixture if random.random() < 0.6 else freeze]


def distorted(take: Take, distortion: Distortion, seed: int) -> list[VideoFrame]:
    """The frames to encode: blurred first, as by a lens, then noisy, as by a sensor, then freezing."""
    frames = take.frames
    if distortion.blur_sigma:
        frames = list(blurred(frames, distortion.blur_sigma))
    if distortion.noise_sigma:
        frames = list(noisy(frames, distortion.noise_sigma, seed))
    if distortion.frozen_share:
        shown = frozen_indices(len(frames), distortion.frozen_share, take.fps, seed)
        frames = [frames[index] for index in shown]
    return frames
