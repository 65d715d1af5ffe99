"""The kinds of distortion and their five strengths, as kinds.toml has them."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args

from config.errors import Problem, nearest, refusing

STRENGTHS = (1, 2, 3, 4, 5)
"""From hardly visible to very strong."""

Sort = Literal["spatial", "temporal"]
Stage = Literal["picture", "timing", "coding"]
STAGES: tuple[Stage, ...] = get_args(Stage)


class UnknownDistortion(Problem):
    """A kind or a strength that there is not."""


class UnsuitableMixture(Problem):
    """Kinds that cannot be had together."""


class StrengthsError(Problem):
    """A file of strengths that cannot be used."""


@dataclass(frozen=True)
class Kind:
    """A way to spoil a video."""

    key: str
    name: str
    """In a sentence."""
    sort: Sort
    stage: Stage
    number: str
    """What the numbers mean."""
    range: tuple[float, float]
    """Least and largest number: beyond them, strengths would look alike or cannot be made."""
    strengths: tuple[float, ...]
    """The numbers of the strengths 1 to 5."""
    whole: bool = False
    """Fractions make no difference."""

    @property
    def expected(self) -> str:
        """What the numbers of the strengths have to be."""
        way = "rise" if self._rises else "fall"
        numbers = "whole numbers" if self.whole else "numbers"
        least, largest = self.range
        return f"{len(STRENGTHS)} {numbers} that {way}, from {least:g} to {largest:g} ({self.number})"

    @property
    def _rises(self) -> bool:
        return self.strengths[0] < self.strengths[-1]

    def takes(self, numbers: object) -> bool:
        """Whether these can be the numbers of the strengths, each worse than the one before."""
        if not isinstance(numbers, Sequence) or len(numbers) != len(STRENGTHS):
            return False
        least, largest = self.range
        for number in numbers:
            if type(number) not in (int, float) or not least <= number <= largest:
                return False
            if self.whole and number != int(number):
                return False
        rising = numbers if self._rises else numbers[::-1]
        return all(one < following for one, following in pairwise(rising))


Kinds = Mapping[str, Kind]


@dataclass(frozen=True)
class Part:
    """One kind at one strength; a mixture has several."""

    kind: str
    strength: int


def _read_kinds() -> Kinds:
    table = tomllib.loads(Path(__file__).with_name("kinds.toml").read_text("utf-8"))
    return {
        key: Kind(
            key=key, **{**entry, "range": tuple(entry["range"]), "strengths": tuple(entry["strengths"])}
        )
        for key, entry in table.items()
    }


KINDS = _read_kinds()


def with_strengths(path: Path) -> Kinds:
    """The kinds with other numbers, from a TOML file of `kind = [five numbers]`; the rest stays.

    Raises StrengthsError, UnknownDistortion.
    """
    with refusing(StrengthsError, f"{path} cannot be read as TOML"):
        table = tomllib.loads(path.read_text("utf-8"))
    kinds = dict(KINDS)
    for key, numbers in table.items():
        kind = kind_of(key)
        if not kind.takes(numbers):
            raise StrengthsError(f"{path}: {key} = {numbers!r}, expected {kind.expected}")
        kinds[key] = replace(kind, strengths=tuple(numbers))
    return kinds


def kind_of(key: str, kinds: Kinds = KINDS) -> Kind:
    """The kind of that key. Raises UnknownDistortion."""
    if key not in kinds:
        raise UnknownDistortion(
            f"distortion {key!r}{nearest(key, kinds)}; expected one of {', '.join(kinds)}"
        )
    return kinds[key]


def number_of(part: Part, kinds: Kinds = KINDS) -> float:
    """What the strength means in numbers. Raises UnknownDistortion."""
    kind = kind_of(part.kind, kinds)
    if part.strength not in STRENGTHS:
        raise UnknownDistortion(
            f"{part.kind}, strength {part.strength}: expected {STRENGTHS[0]} to {STRENGTHS[-1]}"
        )
    return kind.strengths[part.strength - 1]


def in_order(parts: tuple[Part, ...], kinds: Kinds = KINDS) -> tuple[Part, ...]:
    """The parts in the order in which they happen to a video: camera, then player, then encoder.

    Raises UnknownDistortion, and UnsuitableMixture where two kinds say which frame is shown when.
    """
    stages = {part: STAGES.index(kind_of(part.kind, kinds).stage) for part in parts}
    timing = [part.kind for part in parts if stages[part] == STAGES.index("timing")]
    if len(timing) > 1:
        raise UnsuitableMixture(f"{' and '.join(timing)}: expected one at most that changes the timing")
    order = list(kinds)
    return tuple(sorted(parts, key=lambda part: (stages[part], order.index(part.kind))))
