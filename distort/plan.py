"""Which copies are made of each source: everything is drawn by the seed and the source's name alone."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, TypeVar

import numpy as np

from config.errors import Problem
from distort.chain import MAX_LINES, VERSION, Extent, Span
from distort.kinds import KINDS, STRENGTHS, Kind, Kinds, Part, in_order, kind_of, number_of

Item = TypeVar("Item")

SPLITS = ("train", "val", "test")

_SHORTEST_WITH_STRETCH = 2.0
_STRETCH_SHARE = (0.3, 0.5)
_SEEN = 3
"""The least strength of which it is asked when it happens."""


class InvalidRecipe(Problem):
    """A setting of the copies that cannot be."""


@dataclass(frozen=True)
class Recipe:
    """What is made of every source. The same recipe and sources give the same labels and frames."""

    seed: int = 0
    seconds: float = 8.0
    """Of each source's beginning."""
    max_lines: int = MAX_LINES
    kinds: tuple[Kind, ...] = tuple(KINDS.values())
    strengths: tuple[int, ...] = STRENGTHS
    kinds_each: int | None = None
    """Of each source, so many kinds, drawn; all where not given."""
    strengths_each: int | None = None
    """Of each of its kinds, so many strengths, drawn; all where not given."""
    mixed: int = 8
    """Copies of two kinds."""
    stretches: int = 8
    """Copies of which a stretch alone is distorted."""
    validation_share: float = 0.1
    test_share: float = 0.2

    def __post_init__(self) -> None:
        """Raises InvalidRecipe, UnknownDistortion."""
        if not self.kinds or not self.strengths:
            raise InvalidRecipe("no kinds or no strengths: expected one of each at least")
        if not self.seconds > 0 or self.max_lines < 64:
            raise InvalidRecipe(
                f"{self.seconds:g} seconds, {self.max_lines} lines: expected more than 0, and 64 or more"
            )
        if not 0 <= self.validation_share + self.test_share < 1:
            raise InvalidRecipe(
                f"validation {self.validation_share:g} and test {self.test_share:g}: expected less than 1"
            )
        for strength in self.strengths:
            number_of(Part(next(iter(KINDS)), strength))

    @property
    def table(self) -> Kinds:
        """The kinds by their keys."""
        return {kind.key: kind for kind in self.kinds}

    def as_json(self) -> dict[str, Any]:
        """All that decides about the copies, with what the strengths mean."""
        facts = asdict(self) | {"kinds": {kind.key: list(kind.strengths) for kind in self.kinds}}
        return facts | {"strengths": list(self.strengths), "version": VERSION}


@dataclass(frozen=True)
class Copy:
    """One copy of a source; no parts: the pristine one."""

    parts: tuple[Part, ...]
    seed: int
    stretch: Span | None = None
    """Seconds of the source."""

    @property
    def name(self) -> str:
        """Of its file, without ending."""
        parts = "+".join(f"{part.kind}-{part.strength}" for part in self.parts) or "pristine"
        return parts if self.stretch is None else f"{parts}-from-{self.stretch[0]}-to-{self.stretch[1]}"


def copies_of(source: str, extent: Extent, recipe: Recipe) -> list[Copy]:
    """Of the source of that name: pristine, each kind at each strength, mixtures, stretches."""
    kinds = _kinds_of(source, recipe)
    found = [Copy((), 0)]
    found += [
        Copy((Part(kind.key, strength),), _seed(recipe.seed, source, kind.key))
        for kind in kinds
        for strength in _strengths_of(source, kind, recipe)
    ]
    found += _mixtures(source, kinds, recipe)
    found += _stretches(source, kinds, extent.seconds, recipe)
    return list({copy.name: copy for copy in found}.values())


def splits(sources: Sequence[str], recipe: Recipe) -> dict[str, str]:
    """Source → one of SPLITS, in the recipe's shares: all copies of a source are in one."""
    order = sorted(sources, key=lambda source: _seed(recipe.seed, source, "split"))
    test, validation = (round(share * len(order)) for share in (recipe.test_share, recipe.validation_share))
    names = ["test"] * test + ["val"] * validation
    return {source: names[number] if number < len(names) else "train" for number, source in enumerate(order)}


def draws(seed: int, *about: str) -> np.random.Generator:
    """Random draws that depend on these texts and the seed alone."""
    return np.random.default_rng(_seed(seed, *about))


def _seed(seed: int, *about: str) -> int:
    return int.from_bytes(hashlib.sha256("\n".join((str(seed), *about)).encode()).digest()[:4])


def _kinds_of(source: str, recipe: Recipe) -> list[Kind]:
    return _some(recipe.kinds, recipe.kinds_each, draws(recipe.seed, source, "kinds"))


def _strengths_of(source: str, kind: Kind, recipe: Recipe) -> list[int]:
    return _some(recipe.strengths, recipe.strengths_each, draws(recipe.seed, source, kind.key, "strengths"))


def _some(of: Sequence[Item], count: int | None, random: np.random.Generator) -> list[Item]:
    """So many of them, drawn, in their order; all of them where there are no more."""
    if count is None or count >= len(of):
        return list(of)
    return [of[number] for number in sorted(random.choice(len(of), count, replace=False))]


def _mixtures(source: str, kinds: Sequence[Kind], recipe: Recipe) -> Iterator[Copy]:
    """Of two kinds of different stages: such as noise that is then compressed."""
    random = draws(recipe.seed, source, "mixed")
    pairs = [(one, other) for one, other in combinations(kinds, 2) if one.stage != other.stage]
    for number in random.permutation(len(pairs))[: recipe.mixed]:
        parts = in_order(tuple(Part(k.key, int(random.choice(recipe.strengths))) for k in pairs[number]))
        yield Copy(parts, _seed(recipe.seed, source, *(part.kind for part in parts)))


def _stretches(source: str, kinds: Sequence[Kind], seconds: float, recipe: Recipe) -> Iterator[Copy]:
    """Of one kind, at strengths that are seen, kinds taking turns."""
    if seconds < _SHORTEST_WITH_STRETCH:
        return
    random = draws(recipe.seed, source, "stretches")
    order = random.permutation(len(kinds))
    strengths = [s for s in recipe.strengths if s >= _SEEN] or [max(recipe.strengths)]
    for number in range(recipe.stretches):
        kind = kinds[order[number % len(order)]].key
        length = round(random.uniform(*_STRETCH_SHARE) * seconds, 1)
        start = round(random.uniform(0.1, seconds - length - 0.1), 1)
        part = Part(kind_of(kind).key, int(random.choice(strengths)))
        stretch = (start, round(start + length, 1))
        yield Copy((part,), _seed(recipe.seed, source, kind, str(stretch)), stretch)
