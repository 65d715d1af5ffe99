"""What all entries of pipelines.toml have in common."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

RANDOM = "random:"
"""Weights that begin so are the real architecture with seeded random weights."""


class Entry(BaseModel):
    """A frozen table of settings that refuses keys it does not know, and numbers that are none."""

    model_config = ConfigDict(allow_inf_nan=False, frozen=True, extra="forbid", protected_namespaces=())


def _checked_weights(weights: str) -> str:
    seed = weights.removeprefix(RANDOM)
    if seed != weights and not (seed.isascii() and seed.isdecimal()):
        raise ValueError(f"{weights!r}: expected random:SEED with a whole number, as in random:0")
    return weights


Weights = Annotated[str, AfterValidator(_checked_weights)]
"""`random:SEED`, a hub id, a path (`./…`) or a URL."""
