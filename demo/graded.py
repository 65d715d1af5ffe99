"""Ever worse copies of painted clips: nobody has watched them, but which of two is worse is known."""

from pathlib import Path
from typing import Final

import numpy as np

from demo.clips import DEGRADED, PAINTED, filmed
from demo.dataset import Recipe, Row, Sizes, generate
from distort.degrade import KINDS, STEPS, write_degraded

COLUMNS = ("video", "mos", "content", "kind", "step")
SIZES: Sizes = ((640, 352), (480, 272), (480, 352), (960, 544))
SECONDS: Final = 2.0

UNDEGRADED: Final = 65.0
"""Points, on 0–100, of every clip as it was painted: what people's datasets call good."""
STEP_COSTS: Final = {"crf": 7.0, "blur": 9.0, "noise": 8.0, "freeze": 12.0}
"""Points that a step down a ladder costs. That it costs some is certain; how many is our choice."""


def make_graded(
    folder: Path, *, contents: int, seed: int, workers: int, progress: bool = True, sizes: Sizes = SIZES
) -> Path:
    """Make folder/videos/*.mp4 and folder/labels.csv, and give the path of the labels.

    Of each content the undegraded clip and four steps down each of the ladders crf, blur, noise and freeze
    (`distort.degrade`): 17 videos. Same arguments, same dataset; what is there is kept. Raises
    DatasetFolderTaken.
    """
    recipe = Recipe(contents, seed, SECONDS, sizes, (*PAINTED, "demo/graded.py", *DEGRADED))
    return generate(folder, recipe, _make_content, COLUMNS, workers=workers, progress=progress)


def _make_content(folder: Path, recipe: Recipe, content: int) -> list[Row]:
    random = np.random.default_rng([recipe.seed, content])
    clip = filmed(random, recipe, folder / f"{content:04}-source.mp4")
    footage = clip.footage()
    ladders = [(KINDS[0], 0), *((kind, step) for kind in KINDS for step in range(1, STEPS + 1))]
    rows: list[Row] = []
    for kind, step in ladders:
        name = f"{content:04}-{kind}-{step}.mp4"
        write_degraded(footage, folder / name, kind, step, seed=content)
        mos = UNDEGRADED - STEP_COSTS[kind] * step
        rows.append(
            {"video": name, "mos": mos, "content": f"content-{content:04}", "kind": kind, "step": step}
        )
    return rows
