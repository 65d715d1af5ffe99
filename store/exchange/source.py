"""What an import needs to know of features that another program left, whatever their format."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from store.errors import ImportFailed, InvalidFeatures
from store.format.dtypes import GIVEN, array_dtype

ImportFormat = Literal["auto", "mat", "npy", "npy-folder", "hdf5", "safetensors"]
ExportFormat = Literal["npy", "hdf5", "safetensors"]
STREAM = "features"
"""Name of the stream where the source names none."""
VERSION = 1
"""Of what the import makes of its source; part of the key."""
INCOMPLETE = "INCOMPLETE"
"""A file that lies in the folder of an export until all of it is there."""
MANIFEST = "manifest.json"
"""The file of an export that says which array is which video's."""
HDF5_EXPORT = "features.h5"
_NARROWED = {"float64": "float32"}

Progress = Callable[[Sequence[str], str], Iterable[str]]
"""Names that a task goes through, and the task → the same names, one after the other, as tqdm gives them."""


def quiet(names: Sequence[str], task: str) -> Iterable[str]:  # noqa: ARG001  (as Progress is called)
    """No progress bar."""
    return names


@dataclass(frozen=True)
class Fault:
    """Why a video of the source gives no features. `kind` is for programs, `reason` for people."""

    kind: str
    reason: str


@dataclass(frozen=True)
class Source:
    """Features of many videos, read one video at a time."""

    videos: Sequence[str]
    """Ids of the videos that look whole."""
    specification: dict[str, Any]
    """All that decides the numbers, a digest of the source included; plain JSON."""
    read: Callable[[str], dict[str, NDArray[Any]]]
    """Video → stream → [n, *stream shape], in a dtype that is stored. Raises InvalidFeatures."""
    metas: Mapping[str, dict[str, Any]]
    """What is to be noted about videos."""
    faults: Mapping[str, Fault] = field(default_factory=dict)
    """The videos that do not look whole."""
    passed_over: Mapping[str, str] = field(default_factory=dict)
    """What else the source holds: its name → why it is no video's."""
    imputed: Mapping[str, list[int]] = field(default_factory=dict)
    """Video → columns (from 0) whose missing values are replaced by the column's median."""


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
        given = [name for name, value in vars(self).items() if value != getattr(Options, name)]
        stray = sorted(set(given) - set(known))
        if stray:
            takes = ", ".join(f"--{name}" for name in known)
            raise ImportFailed(f"--{stray[0]} has no meaning for {what}; it takes {takes}")


def stored_dtype(what: str, dtype: str) -> str:
    """The dtype that features of this one are kept as. Raises InvalidFeatures where there is none."""
    kept = _NARROWED.get(dtype, dtype)
    if kept not in GIVEN:
        raise InvalidFeatures(f"{what}: found {dtype}; expected {', '.join([*GIVEN, *_NARROWED])}")
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


def digest(files: Mapping[str, Path], rule: str, progress: Progress) -> dict[str, str]:
    """The digest of a source's files (name within the source → path), as its specification records it.

    `content`: of all bytes. Two sources with one key then hold the same numbers, wherever they lie.
    `listing`: of names, sizes and times of change, for sources too large to be read twice. A copy that does
    not keep the times has another key; what was changed and given its old time back has not.
    """
    whole = hashlib.sha256()
    for name in progress(sorted(files), "digest"):
        try:
            if rule == "content":
                state = file_sha256(files[name])
            else:
                status = files[name].stat()
                state = f"{status.st_size}\0{status.st_mtime_ns}"
        except OSError as error:
            # It costs its own video only, and is a difference like any other.
            state = f"unreadable {error.errno}"
        whole.update(f"{name}\0{state}\n".encode("utf-8", "surrogateescape"))
    return {"rule": rule, "sha256": whole.hexdigest()}


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
