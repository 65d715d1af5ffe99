"""A labelled dataset made from nothing: painted clips, distorted, encoded with x264, scored by similarity."""

import csv
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from tqdm import tqdm

from config.errors import Problem
from demo.scenes import SIZES, Clip, film
from demo.similarity import opinion, ssim
from distort.coding import write_footage
from distort.footage import read_footage
from distort.severities import Distortion, distorted, versions

SECONDS = 2.0
VALIDATION_SHARE, TEST_SHARE = 0.1, 0.2
COLUMNS = ("video", "mos", "split", "content", "distortion", "severity", "crf", "width", "height", "fps")

_COMPARED_FRAMES = 5
# More of it, or harder, and no one could tell a worse copy from a worse source: the labels would contradict.
_COMPRESSED_SHARE, _SOURCE_CRF = 0.1, (14, 20)
_SOURCES = ("clips.py", "scenes.py", "textures.py", "similarity.py")
_DISTORTIONS = ("coding.py", "degrade.py", "footage.py", "pictures.py", "severities.py", "timing.py")

Row = dict[str, str | float]
Sizes = tuple[tuple[int, int], ...]


class DatasetFolderTaken(Problem):
    """The folder holds something that is not a generated dataset."""


def make_dataset(
    folder: Path,
    *,
    contents: int,
    seed: int,
    workers: int,
    progress: bool = True,
    seconds: float = SECONDS,
    sizes: Sizes = SIZES,
) -> Path:
    """Make folder/videos/*.mp4 and folder/labels.csv, and give the path of the labels.

    Seven versions of each content, `seconds` long, in one of the `sizes` (width, height). The same
    arguments give the same dataset, with any number of workers; if it is there already, it is kept.
    labels.csv is written last: that it exists means that the dataset is complete. Raises DatasetFolderTaken.
    """
    recipe = {"contents": contents, "seed": seed, "seconds": seconds, "sizes": sizes, "code": _code_digest()}
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]
    labels = folder / "labels.csv"
    if _is_complete(folder, digest):
        if progress:
            print(f"     reused: {folder} (recipe {digest})")
        return labels
    _clear(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as temporary:
        made = Path(temporary) / "videos"
        made.mkdir()
        make = partial(_make_content, made, seed, seconds, sizes)
        rows = [row for content in _each(make, contents, workers, progress) for row in content]
        made.rename(folder / "videos")
    split_of = _splits(contents, seed)
    rows = [{**row, "split": split_of[str(row["content"])]} for row in rows]
    facts = {"digest": digest, "recipe": recipe, "videos": len(rows)}
    (folder / "dataset.json").write_text(json.dumps(facts, indent=2) + "\n")
    _write_labels(labels, rows)
    return labels


def _each(
    make: Callable[[int], list[Row]], contents: int, workers: int, progress: bool
) -> Iterator[list[Row]]:
    bar = partial(tqdm, total=contents, unit="content", disable=not progress, leave=False)
    if workers < 2:
        yield from bar(map(make, range(contents)))
        return
    # Spawned, not forked: the parent may have started threads (PyTorch, libav).
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from bar(pool.map(make, range(contents)))


def _make_content(folder: Path, seed: int, seconds: float, sizes: Sizes, content: int) -> list[Row]:
    random = np.random.default_rng([seed, content])
    clip = _developed(random, film(random, seconds, sizes), folder / f"{content:04}-source.mp4")
    frames = [VideoFrame.from_ndarray(planes, format="yuv420p") for planes in clip.frames]
    times = [Fraction(index, clip.fps) for index in range(len(frames))]
    rows: list[Row] = []
    for index, distortion in enumerate(versions(random, frames[0].height)):
        name = f"{content:04}-{index}-{distortion.kind.replace('+', '-')}.mp4"
        seen, shown = distorted(frames, distortion, clip.fps, int(random.integers(2**31)))
        write_footage(folder / name, seen, times, distortion.crf)
        mos = _score(clip, folder / name, shown, distortion)
        rows.append(_row(name, mos, content, distortion, clip))
    return rows


def _developed(random: np.random.Generator, clip: Clip, file: Path) -> Clip:
    """Some of the clips as videos reach us: the best copy there is was compressed before, by a camera."""
    crf = int(random.integers(*_SOURCE_CRF))
    if random.random() > _COMPRESSED_SHARE:
        return clip
    frames = (VideoFrame.from_ndarray(planes, format="yuv420p") for planes in clip.frames)
    times = [Fraction(index, clip.fps) for index in range(len(clip.frames))]
    coded = read_footage(write_footage(file, frames, times, crf), float("inf"), clip.frames.shape[1]).frames
    file.unlink()
    return Clip(np.stack([frame.to_ndarray(format="yuv420p") for frame in coded]), clip.fps)


def _score(clip: Clip, video: Path, shown: list[int], distortion: Distortion) -> float:
    """Every frame is compared with the pristine one that it shows, so that freezes count by time alone."""
    height = clip.frames.shape[1] * 2 // 3
    written = read_footage(video, float("inf"), height).frames
    compared = np.linspace(0, len(written) - 1, min(_COMPARED_FRAMES, len(written))).round().astype(int)
    similarities = [
        ssim(clip.frames[shown[i], :height], written[i].to_ndarray(format="yuv420p")[:height])
        for i in compared
    ]
    return opinion(similarities, distortion.frozen_share)


def _row(name: str, mos: float, content: int, distortion: Distortion, clip: Clip) -> Row:
    planes, width = clip.frames.shape[1:]
    return {
        "video": name,
        "mos": round(mos, 2),
        "content": f"content-{content:04}",
        "distortion": distortion.kind,
        "severity": round(distortion.severity, 4),
        "crf": distortion.crf,
        "width": width,
        "height": planes * 2 // 3,
        "fps": clip.fps,
    }


def _splits(contents: int, seed: int) -> dict[str, str]:
    """Content → split: all versions of a content are in one."""
    order = np.random.default_rng([seed, contents]).permutation(contents)
    names = ["test"] * max(1, round(TEST_SHARE * contents))
    names += ["val"] * max(1, round(VALIDATION_SHARE * contents)) + ["train"] * contents
    return {f"content-{content:04}": name for content, name in zip(order, names, strict=False)}


def _write_labels(path: Path, rows: list[Row]) -> None:
    unfinished = path.with_suffix(".partial")
    with unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)


def _code_digest() -> str:
    """Of the files that decide how a clip comes out."""
    here = Path(__file__).parent
    sources = [here / name for name in _SOURCES]
    sources += [here.parent / "distort" / name for name in _DISTORTIONS]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def _is_complete(folder: Path, digest: str) -> bool:
    facts, labels = folder / "dataset.json", folder / "labels.csv"
    if not (facts.is_file() and labels.is_file()):
        return False
    with labels.open(newline="") as file:
        named = [row["video"] for row in csv.DictReader(file)]
    known = json.loads(facts.read_text())
    return (
        known["digest"] == digest
        and len(named) == known["videos"]
        and all((folder / "videos" / name).is_file() for name in named)
    )


def _clear(folder: Path) -> None:
    """Remove an outdated or unfinished generated dataset; refuse to touch anything else."""
    if not folder.exists():
        return
    ours = {"videos", "labels.csv", "labels.partial", "dataset.json"}
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".unfinished-"))
    if strangers := [name for name in names if name not in ours]:
        raise DatasetFolderTaken(
            f"{folder}: holds {', '.join(strangers[:3])}, which no generated dataset has: "
            "choose a new or an empty folder"
        )
    if names == ["videos"] or (names and "dataset.json" not in names and "labels.csv" in names):
        raise DatasetFolderTaken(
            f"{folder}: holds {', '.join(names)} but no dataset.json, so they were not generated here: "
            "choose a new or an empty folder"
        )
    # The labels go first: without them, what is left is known to be incomplete.
    (folder / "labels.csv").unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
