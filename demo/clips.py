"""A labelled dataset made from nothing: painted clips, distorted, encoded with x264, scored by similarity."""

from pathlib import Path

import numpy as np

from demo.dataset import Recipe, Row, Sizes, generate
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
PAINTED = ("demo/dataset.py", "demo/clips.py", "demo/scenes.py", "demo/textures.py")
"""The code that decides how a clip looks."""
DEGRADED = tuple(f"distort/{name}.py" for name in ("coding", "degrade", "footage", "pictures", "timing"))
"""The code that decides how a copy comes out."""


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
    arguments give the same dataset, with any number of workers; if it is there already, it is kept. Raises
    DatasetFolderTaken.
    """
    own = ("demo/similarity.py", "distort/severities.py")
    recipe = Recipe(contents, seed, seconds, sizes, (*PAINTED, *DEGRADED, *own))
    return generate(folder, recipe, _make_content, COLUMNS, workers=workers, progress=progress)


def _make_content(folder: Path, recipe: Recipe, content: int) -> list[Row]:
    random = np.random.default_rng([recipe.seed, content])
    clip = filmed(random, recipe, folder / f"{content:04}-source.mp4")
    split = _splits(recipe.contents, recipe.seed)[f"content-{content:04}"]
    footage = clip.footage()
    rows: list[Row] = []
    for index, distortion in enumerate(versions(random, footage.frames[0].height)):
        name = f"{content:04}-{index}-{distortion.kind.replace('+', '-')}.mp4"
        seen, shown = distorted(footage.frames, distortion, clip.fps, int(random.integers(2**31)))
        write_footage(folder / name, seen, footage.times, distortion.crf)
        mos = _score(clip, folder / name, shown, distortion)
        rows.append({**_row(name, mos, content, distortion, clip), "split": split})
    return rows


def filmed(random: np.random.Generator, recipe: Recipe, file: Path) -> Clip:
    """A new clip; some as videos reach us: the best copy there is was compressed before, by a camera.

    `file`: for the time being.
    """
    clip = film(random, recipe.seconds, recipe.sizes)
    crf = int(random.integers(*_SOURCE_CRF))
    if random.random() > _COMPRESSED_SHARE:
        return clip
    footage = clip.footage()
    write_footage(file, footage.frames, footage.times, crf)
    coded = read_footage(file, float("inf"), clip.frames.shape[1]).frames
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
