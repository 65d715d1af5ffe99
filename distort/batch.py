"""All copies of all sources: in parallel, again from where it stopped, with labels at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from config.errors import Problem
from config.pool import Pool
from distort.chain import write_copy
from distort.conversations import write_conversations
from distort.folder import (
    LABELS,
    SOURCES,
    VIDEOS,
    FolderTaken,
    known_sources,
    prepare,
    remove_labels,
    still_valid,
)
from distort.labels import Labelled, labelled, write_labels, write_sources
from distort.plan import Recipe, copies_of, splits
from distort.sources import Source, find_sources, survey
from extract.errors import UnreadableVideo
from store.durable.commit import make_folders, publish_file, sync
from store.durable.owner import temporary_name
from train.saving.folder import writing


class NothingMade(Problem):
    """None of the sources can be used."""


@dataclass
class Summary:
    """How it went."""

    labels: Path
    copies: int = 0
    made: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    """File of a source → why it cannot be used."""
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

    Copies that are there are kept. The summary and sources.csv list the sources that cannot be used.
    The labels, written last, are the same for any number of workers. Raises FolderTaken, NoSources,
    NothingMade, WorkerDied, and RunError where the disk refuses a file.
    """
    found, refused = find_sources(places)
    inside = [name for name, path in found.items() if folder.resolve() in path.resolve().parents]
    if inside:
        raise FolderTaken(f"{folder} has sources, such as {inside[0]}: choose a folder outside of them")
    with writing(folder):
        known = known_sources(folder, recipe, restart)
        make_folders(folder)  # one that cannot be made is refused before the sources are read
    with Pool(workers) as pool:
        return _Batch(folder, recipe, pool, quiet, refused).run(found, still_valid(known, found))


@dataclass
class _Batch:
    """One call's."""

    folder: Path
    recipe: Recipe
    pool: Pool
    quiet: bool
    problems: dict[str, str]
    """File of a source → why it cannot be used."""

    def run(self, found: dict[str, Path], valid: dict[str, Source]) -> Summary:
        """`valid`: the sources that need not be read again."""
        sources = self._surveyed(found, valid)
        with writing(self.folder):
            prepare(self.folder, self.recipe, sources, valid)
        split_of = splits([source.name for source in sources], self.recipe)
        copies = []
        for source in sources:
            plan = copies_of(source.name, source.extent, self.recipe)
            copies += labelled(source, split_of[source.name], plan, self.recipe.table)
        made = self._write_missing(copies)
        copies = [copy for copy in copies if str(copy.source.path) not in self.problems]
        used = [source for source in sources if str(source.path) not in self.problems]
        names = {str(path): name for name, path in found.items()}
        with writing(self.folder):
            write_sources(self.folder / SOURCES, used, split_of, names, self.problems)
            remove_labels(self.folder)
            if not copies:
                raise NothingMade(f"no source can be used: {next(iter(self.problems.values()))}")
            records = write_conversations(self.folder, copies, self.recipe)
            write_labels(self.folder / LABELS, copies)
        return Summary(self.folder / LABELS, len(copies), made, self.problems, records)

    def _surveyed(self, found: dict[str, Path], valid: dict[str, Source]) -> list[Source]:
        """The sources that can be used, by name."""
        sources = dict(valid)
        tasks = [
            (name, path, self.recipe.seconds, self.recipe.max_lines)
            for name, path in found.items()
            if name not in valid
        ]
        with self._bar(len(tasks), "source") as bar:
            for number, result in self.pool.each(_survey, tasks):
                bar.update()
                name, path, *_ = tasks[number]
                if isinstance(result, Source):
                    sources[name] = result
                else:
                    self.problems[str(path)] = result
        return [sources[name] for name in sorted(sources)]

    def _write_missing(self, copies: Sequence[Labelled]) -> int:
        """Write the copies that are not there, and give their number."""
        videos = self.folder / VIDEOS
        missing = [copy for copy in copies if not (videos / copy.video).is_file()]
        if missing:
            with writing(self.folder):
                remove_labels(self.folder)
        made = 0
        with self._bar(len(copies), "copy", len(copies) - len(missing)) as bar:
            tasks = [(copy, videos / copy.video, self.recipe) for copy in missing]
            for number, problem in self.pool.each(_write, tasks):
                bar.update()
                if problem is None:
                    made += 1
                else:
                    self.problems.setdefault(str(missing[number].source.path), problem)
        return made

    def _bar(self, total: int, unit: str, there: int = 0) -> "tqdm[Any]":
        disable = self.quiet or total == there
        return tqdm(total=total, initial=there, desc="distort", unit=unit, disable=disable)


def _survey(task: tuple[str, Path, float, int]) -> Source | str:
    """The source, or why it cannot be used."""
    try:
        return survey(*task)
    except UnreadableVideo as problem:
        return str(problem)


def _write(task: tuple[Labelled, Path, Recipe]) -> str | None:
    """Why the source cannot be read, or nothing: then the copy is there, whole. Raises RunError."""
    labelled, target, recipe = task
    with writing(target):
        return _write_whole(labelled, target, recipe)


def _write_whole(labelled: Labelled, target: Path, recipe: Recipe) -> str | None:
    source, copy = labelled.source, labelled.copy
    make_folders(target.parent)
    temporary = target.with_name(temporary_name(f".{target.name}"))
    try:
        write_copy(
            source.path,
            temporary,
            copy.parts,
            extent=source.extent,
            seed=copy.seed,
            stretch=copy.stretch,
            seconds=recipe.seconds,
            max_lines=recipe.max_lines,
            kinds=recipe.table,
            threads=1,
        )
        sync(temporary)
        publish_file(temporary, target)
    except UnreadableVideo as problem:
        return str(problem)
    finally:
        temporary.unlink(missing_ok=True)
    return None
