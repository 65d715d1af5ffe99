"""A dataset made from nothing: complete or not there, and the same for any number of workers."""

import csv
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from config.errors import Problem
from config.pool import Pool

Row = dict[str, str | float]
Sizes = tuple[tuple[int, int], ...]


class DatasetFolderTaken(Problem):
    """The folder holds something that is not a generated dataset."""


@dataclass(frozen=True)
class Recipe:
    """What decides how a dataset comes out. `sizes`: (width, height), of which each content has one."""

    contents: int
    seed: int
    seconds: float
    sizes: Sizes
    sources: tuple[str, ...]
    """Files of code, from the repository's root: a dataset that others made is another."""

    def digest(self) -> str:
        """The same for the same dataset."""
        root = Path(__file__).parents[1]
        code = hashlib.sha256(b"".join((root / name).read_bytes() for name in self.sources)).hexdigest()[:12]
        return hashlib.sha256(json.dumps([self.facts(), code], sort_keys=True).encode()).hexdigest()[:12]

    def facts(self) -> dict[str, object]:
        """What a person may want to know of it."""
        return {
            "contents": self.contents,
            "seed": self.seed,
            "seconds": self.seconds,
            "sizes": [list(size) for size in self.sizes],
        }


Make = Callable[[Path, Recipe, int], list[Row]]
"""Writes the videos of a content, by its number, into a folder, and gives their rows."""


def generate(
    folder: Path,
    recipe: Recipe,
    make: Make,
    columns: Sequence[str],
    *,
    workers: int,
    progress: bool = True,
) -> Path:
    """Make folder/videos/*.mp4 and folder/labels.csv, and give the path of the labels.

    If the recipe's dataset is there already, it is kept. labels.csv is written last: that it exists means
    that the dataset is complete. `make`: a function of a module, as it may run in other processes. Raises
    DatasetFolderTaken, WorkerDied.
    """
    digest = recipe.digest()
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
        contents = range(recipe.contents)
        bar = tqdm(total=len(contents), unit="content", disable=not progress, leave=False)
        with bar, Pool(workers) as pool:
            done = dict[int, list[Row]]()
            for number, found in pool.each(partial(make, made, recipe), contents):
                done[number] = found
                bar.update()
        rows = [row for content in contents for row in done[content]]
        made.rename(folder / "videos")
    facts = {"digest": digest, "recipe": recipe.facts(), "videos": len(rows)}
    (folder / "dataset.json").write_text(json.dumps(facts, indent=2) + "\n")
    _write_labels(labels, rows, columns)
    return labels


def _write_labels(path: Path, rows: list[Row], columns: Sequence[str]) -> None:
    unfinished = path.with_suffix(".partial")
    with unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)


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
