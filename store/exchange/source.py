"""What an import needs to know of features that another program left, whatever their format."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from store.errors import ImportFailed, InvalidFeatures
from store.format.dtypes import GIVEN, array_dtype

STREAM = "features"
"""Name of the stream where the source names none."""
VERSION = 1
"""Of what the import makes of its source; part of the key."""
INCOMPLETE = "INCOMPLETE"
"""A file that lies in the folder of an export until all of it is there."""
_NARROWED = {"float64": "float32"}


class Progress(Protocol):
    """Wraps the names that a task goes through, as tqdm does."""

    def __call__(self, names: Sequence[str], task: str) -> Iterable[str]:
        """The names, one after the other."""


def quiet(names: Sequence[str], task: str) -> Iterable[str]:  # noqa: ARG001  (the protocol's)
    """No progress bar."""
    return names


@dataclass(frozen=True)
class Fault:
    """Why a video of the source gives no features. `kind` is for programs, `reason` for people."""

    kind: str
    reason: str


class Source(Protocol):
    """Features of many videos, read one video at a time."""

    @property
    def videos(self) -> Sequence[str]:
        """Ids of the videos that look whole."""

    @property
    def faults(self) -> Mapping[str, Fault]:
        """The videos that do not."""

    @property
    def passed_over(self) -> Mapping[str, str]:
        """What else the source holds: its name → why it is no video's."""

    @property
    def imputed(self) -> Mapping[str, list[int]]:
        """Video → columns (from 0) whose missing values are replaced by the column's median."""

    def specification(self) -> dict[str, Any]:
        """All that decides the numbers, a digest of the source included; plain JSON."""

    def read(self, video: str) -> dict[str, NDArray[Any]]:
        """Stream → [n, *stream shape], in a dtype that is stored. Raises InvalidFeatures."""

    def meta(self, video: str) -> dict[str, Any]:
        """What is to be noted about the video."""


@dataclass(frozen=True)
class Options:
    """How to read a source; None where its format decides."""

    key: str | None = None
    """The matrix in a file that holds several."""
    ids: str | None = None
    """FILE:COLUMN or FILE: the videos of a matrix, in the order of its rows."""
    pattern: str | None = None
    """How names are read, with {video}, {stream} and {chunk}."""
    join: Literal["stack", "concatenate"] | None = None
    """Arrays of chunks: each is one item, or each is [n, …]."""
    missing: Literal["median", "quarantine"] | None = None
    """What becomes of the missing values of a matrix."""
    digest: Literal["content", "listing"] = "content"
    """What tells one source from another: all bytes, or names, sizes and times of change."""

    def only(self, what: str, *known: str) -> None:
        """Raises ImportFailed where another option is given: it would have no effect."""
        given = {name for name, value in vars(self).items() if value is not None} - {"digest"}
        if self.digest != "content":
            given.add("digest")
        stray = sorted(given - set(known))
        if stray:
            raise ImportFailed(
                f"--{stray[0]} has no meaning for {what}; it takes "
                + (", ".join(f"--{name}" for name in known) or "no such options")
            )


def stored_dtype(dtype: str) -> str:
    """The dtype that features of this one are kept as. Raises InvalidFeatures where there is none."""
    kept = _NARROWED.get(dtype, dtype)
    if kept not in GIVEN:
        raise InvalidFeatures(f"found {dtype}; expected {', '.join([*GIVEN, *_NARROWED])}")
    return kept


def narrowed(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    """The array in a dtype that is stored. Raises InvalidFeatures for a finite value beyond its range."""
    if array.dtype.name == dtype:
        return array
    with np.errstate(over="ignore"):
        kept = array.astype(array_dtype(dtype))
    beyond = np.isfinite(array) & ~np.isfinite(kept)
    if beyond.any():
        raise InvalidFeatures(f"{array[beyond][0]:g} is beyond {dtype}")
    return kept


def plain(array: NDArray[Any]) -> NDArray[Any]:
    """The array, for formats that have no bfloat16: as float32, which holds the same values."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def exported(description: Mapping[str, Any]) -> dict[str, Any]:
    """How the specification names the feature set that an export was made from. Raises KeyError."""
    return {"export": {name: description[name] for name in ("dataset", "encoder", "key", "specification")}}
