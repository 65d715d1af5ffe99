"""Which copies are drawn of a source."""

from fractions import Fraction

from distort.chain import Extent
from distort.plan import Copy, Recipe, copies_of

EXTENT = Extent(50, Fraction(1, 25))


def singles(source: str, recipe: Recipe) -> set[tuple[str, int]]:
    """Kind and strength of the copies that are distorted as a whole, by one kind."""
    copies: list[Copy] = copies_of(source, EXTENT, recipe)
    return {(c.parts[0].kind, c.parts[0].strength) for c in copies if len(c.parts) == 1 and not c.stretch}


def test_of_each_kind_so_many_strengths_are_drawn_by_source_and_kind() -> None:
    recipe = Recipe(strengths_each=2, strengths=(1, 2, 4, 5))
    drawn = {source: singles(source, recipe) for source in ("a", "b", "c")}
    assert drawn["a"] == singles("a", recipe) != drawn["b"]
    for found in drawn.values():
        by_kind = {key: {s for kind, s in found if kind == key} for key in recipe.table}
        assert {len(strengths) for strengths in by_kind.values()} == {2}
        assert set().union(*by_kind.values()) == {1, 2, 4, 5}


def test_more_than_there_are_is_all_of_them() -> None:
    assert singles("a", Recipe(strengths_each=9, kinds_each=99)) == singles("a", Recipe())
    assert len(singles("a", Recipe())) == 22 * 5
