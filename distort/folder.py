"""The folder that copies are made in: whose it is, and what of it still holds."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from config.errors import Problem, refusing
from distort.plan import Recipe
from distort.sources import Source, identity, remembered
from store.durable.commit import make_folders, remove, write_file
from store.durable.owner import is_temporary, owner_alive

FACTS, VIDEOS, LABELS, SOURCES = "dataset.json", "videos", "labels.csv", "sources.csv"
CONVERSATIONS = "conversations-*.jsonl"

Facts = dict[str, dict[str, Any]]
"""Source → what decoding it found out, and which file it was."""


class FolderTaken(Problem):
    """The folder holds something else than copies of this recipe."""


def known_sources(folder: Path, recipe: Recipe, restart: bool) -> Facts:
    """Of the sources that copies were made of; none in a new folder.

    Raises FolderTaken where there is a file in its place, or where it is not ours or has other settings (then
    none on `restart`).
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise FolderTaken(f"{there} is a file, expected a folder: choose a new or empty one")
    names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if not names:
        return {}
    if FACTS not in names:
        found = ", ".join(names[:3])
        raise FolderTaken(f"{folder}: holds {found} but no {FACTS}: choose a new or empty folder")
    with refusing(FolderTaken, f"{folder / FACTS} cannot be read"):
        facts = json.loads((folder / FACTS).read_text())
        before, known = dict(facts["recipe"]), dict(facts["sources"])
    now = json.loads(_as_json(recipe.as_json()))
    changed = [key for key in now if before.get(key) != now[key]]
    if changed and not restart:
        differences = "; ".join(
            f"{key}: {_short(before.get(key))}, now {_short(now[key])}" for key in changed
        )
        raise FolderTaken(
            f"{folder} was made with other settings ({differences}): choose another folder, or --restart"
        )
    return {} if changed else known


def still_valid(known: Facts, found: dict[str, Path]) -> dict[str, Source]:
    """The known sources that are there and were not replaced."""
    return {
        name: remembered(name, path, known[name])
        for name, path in found.items()
        if name in known and known[name]["file"] == identity(path)
    }


def prepare(folder: Path, recipe: Recipe, sources: Iterable[Source], valid: dict[str, Source]) -> None:
    """Note recipe and sources; remove what does not hold: copies of sources that are not `valid`, litter."""
    make_folders(folder / VIDEOS)
    if not valid:
        remove_labels(folder)
        remove(folder / VIDEOS)
        make_folders(folder / VIDEOS)
    for source in sources:
        if source.name not in valid:
            remove(folder / VIDEOS / source.name)
    for path in (folder / VIDEOS).rglob(".*"):
        if is_temporary(path.name) and owner_alive(path.name) is False:
            remove(path)
    facts = {source.name: {"file": identity(source.path), **source.as_json()} for source in sources}
    write_file(folder / FACTS, _as_json({"recipe": recipe.as_json(), "sources": facts}))


def remove_labels(folder: Path) -> None:
    """Without labels, what is left is known to be incomplete."""
    for path in (folder / LABELS, *folder.glob(CONVERSATIONS)):
        path.unlink(missing_ok=True)


def _as_json(facts: dict[str, Any]) -> bytes:
    return (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode()


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
