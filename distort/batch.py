"""All copies of all sources: in parallel, again from where it stopped, with labels at the end."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from config.errors import Problem, refusing
from distort.chain import Extent, write_copy
from distort.conversations import write_conversations
from distort.kinds import Kinds
from distort.labels import Labelled, labelled, write_labels, write_sources
from distort.plan import Copy, Recipe, copies_of, splits
from distort.pool import Pool
from distort.sources import Source, find_sources, identity, remembered, survey
from extract.errors import UnreadableVideo
from store.durable.commit import make_folders, publish_file, remove, sync, write_file
from store.durable.owner import is_temporary, owner_alive, temporary_name

_FACTS, _VIDEOS, _LABELS, _SOURCES = "dataset.json", "videos", "labels.csv", "sources.csv"


class FolderTaken(Problem):
    """The folder holds something else than copies of this recipe."""


class NothingMade(Problem):
    """None of the sources can be used."""


@dataclass
class Summary:
    """How it went."""

    labels: Path
    copies: int = 0
    made: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    """Source → why it cannot be used."""
    conversations: dict[str, int] = field(default_factory=dict)
    """File → records."""


def make_copies(
    places: Sequence[Path],
    folder: Path,
    recipe: Recipe,
    *,
    workers: int = 1,
    restart: bool = False,
    quiet: bool = False,
) -> Summary:
    """Make folder/videos/SOURCE/COPY.mp4, labels.csv, sources.csv and conversations of every source's copies.

    Copies that are there are kept. A source that cannot be used is told in the summary and in sources.csv.
    The labels, written last, are the same for any number of workers. Raises FolderTaken, NoSources,
    NothingMade, WorkerDied.
    """
    found, problems = find_sources(places)
    inside = [name for name, path in found.items() if folder.resolve() in path.resolve().parents]
    if inside:
        raise FolderTaken(f"{folder} has sources, such as {inside[0]}: choose a folder outside of them")
    known = _known_sources(folder, recipe, restart)
    with Pool(workers) as pool:
        return _made(folder, recipe, found, known, problems, pool, quiet)


def _made(
    folder: Path,
    recipe: Recipe,
    found: dict[str, Path],
    known: dict[str, Any],
    problems: dict[str, str],
    pool: Pool,
    quiet: bool,
) -> Summary:
    sources = _surveyed(found, known, recipe, pool, quiet, problems)
    _remove_outdated(folder, known, sources)
    facts = {name: {"file": identity(source.path), **source.as_json()} for name, source in sources.items()}
    make_folders(folder / _VIDEOS)
    write_file(folder / _FACTS, _as_json({"recipe": recipe.as_json(), "sources": facts}))
    split_of = splits(list(sources), recipe)
    copies = [
        copy
        for name, source in sources.items()
        for copy in labelled(source, split_of[name], copies_of(name, source.extent, recipe), recipe.kinds)
    ]
    made = _write_missing(folder, copies, recipe, pool, quiet, problems)
    copies = [copy for copy in copies if copy.source.name not in problems]
    used = [source for name, source in sources.items() if name not in problems]
    write_sources(folder / _SOURCES, used, split_of, problems)
    if not copies:
        raise NothingMade(f"no source can be used: {next(iter(problems.values()))}")
    records = write_conversations(folder, copies, recipe)
    write_labels(folder / _LABELS, copies)
    return Summary(folder / _LABELS, len(copies), made, problems, records)


def _known_sources(folder: Path, recipe: Recipe, restart: bool) -> dict[str, Any]:
    """What is known of sources of which the folder has copies."""
    names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    facts = folder / _FACTS
    if names and _FACTS not in names:
        raise FolderTaken(
            f"{folder}: holds {', '.join(names[:3])} but no {_FACTS}: choose a new or empty folder"
        )
    if not names:
        return {}
    with refusing(FolderTaken, f"{facts} cannot be read"):
        found = json.loads(facts.read_text())
        before, now, sources = found["recipe"], json.loads(_as_json(recipe.as_json())), dict(found["sources"])
    changed = [key for key in now if before.get(key) != now[key]]
    if not changed:
        return sources
    if not restart:
        told = "; ".join(f"{key}: {_short(before.get(key))}, now {_short(now[key])}" for key in changed)
        raise FolderTaken(
            f"{folder} was made with other settings ({told}): choose another folder, or --restart"
        )
    (folder / _LABELS).unlink(
        missing_ok=True
    )  # first: without labels, what is left is known to be incomplete
    shutil.rmtree(folder / _VIDEOS)
    return {}


def _surveyed(
    found: dict[str, Path],
    known: dict[str, Any],
    recipe: Recipe,
    pool: Pool,
    quiet: bool,
    problems: dict[str, str],
) -> dict[str, Source]:
    """The sources that can be used, by name; known ones that were not replaced are not read again."""
    sources = {
        name: remembered(name, path, known[name])
        for name, path in found.items()
        if name in known and known[name]["file"] == identity(path)
    }
    unknown = [name for name in found if name not in sources]
    tasks = [(name, found[name], recipe.seconds, recipe.max_lines) for name in unknown]
    with _bar(len(tasks), "source", 0, quiet) as bar:
        for number, result in pool.each(_survey, tasks):
            bar.update()
            if isinstance(result, Source):
                sources[result.name] = result
            else:
                problems[unknown[number]] = result
    return dict(sorted(sources.items()))


def _survey(task: tuple[str, Path, float, int]) -> Source | str:
    try:
        return survey(*task)
    except UnreadableVideo as problem:
        return str(problem)


def _remove_outdated(folder: Path, known: dict[str, Any], sources: dict[str, Source]) -> None:
    """Copies of files that were replaced since, and what killed processes left."""
    for name, source in sources.items():
        if name in known and known[name]["file"] != identity(source.path):
            remove(folder / _VIDEOS / name)
    for path in (folder / _VIDEOS).rglob(".*"):
        if is_temporary(path.name) and owner_alive(path.name) is False:
            remove(path)


@dataclass(frozen=True)
class _Task:
    video: Path
    target: Path
    copy: Copy
    extent: Extent
    recipe: Recipe

    @property
    def kinds(self) -> Kinds:
        return {kind.key: kind for kind in self.recipe.kinds}


def _write_missing(
    folder: Path,
    copies: Sequence[Labelled],
    recipe: Recipe,
    pool: Pool,
    quiet: bool,
    problems: dict[str, str],
) -> int:
    """Write the copies that are not there, and give their number."""
    file_of = {copy.video: folder / _VIDEOS / copy.video for copy in copies}
    missing = [copy for copy in copies if not file_of[copy.video].is_file()]
    tasks = [
        _Task(copy.source.path, file_of[copy.video], copy.copy, copy.source.extent, recipe)
        for copy in missing
    ]
    made = 0
    with _bar(len(copies), "copy", len(copies) - len(missing), quiet) as bar:
        for number, problem in pool.each(_write, tasks):
            bar.update()
            made += problem is None
            if problem is not None:
                problems.setdefault(missing[number].source.name, problem)
    return made


def _write(task: _Task) -> str | None:
    """Why the source cannot be read, or nothing: then the copy is there, whole."""
    make_folders(task.target.parent)
    temporary = task.target.with_name(temporary_name(f".{task.target.name}"))
    try:
        write_copy(
            task.video,
            temporary,
            task.copy.parts,
            extent=task.extent,
            seed=task.copy.seed,
            stretch=task.copy.stretch,
            seconds=task.recipe.seconds,
            max_lines=task.recipe.max_lines,
            kinds=task.kinds,
            threads=1,
        )
        sync(temporary)
        publish_file(temporary, task.target)
    except UnreadableVideo as problem:
        return str(problem)
    finally:
        temporary.unlink(missing_ok=True)
    return None


def _bar(total: int, unit: str, there: int, quiet: bool) -> "tqdm[Any]":
    return tqdm(total=total, initial=there, desc="distort", unit=unit, disable=quiet or total == there)


def _as_json(facts: dict[str, Any]) -> bytes:
    return (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode()


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
