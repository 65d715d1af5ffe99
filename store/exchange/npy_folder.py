"""Folders of .npy files: one array for each video, for each of its streams, or for each chunk."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from math import prod
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import ImportFailed, InvalidFeatures
from store.exchange.named_arrays import NamedArrays, plan_by_names
from store.exchange.npy_writer import MANIFEST
from store.exchange.pattern import Pattern
from store.exchange.plan import Plan, plan_by_pattern
from store.exchange.source import Options, Progress, exported
from store.labels.errors import some

# What numpy raises on truncated and damaged files, found by truncating and damaging some.
_NPY_FAULTS = (
    OSError,
    ValueError,
    EOFError,
    TypeError,
    SyntaxError,
    TokenError,
    MemoryError,
    OverflowError,
    RecursionError,
)
_HEADER_BYTES = 4096
_LAYOUTS = [
    # MinimalisticVQA and those that build on it: batches of one chunk, [1, …].
    ("{video}/feature_{chunk}_{stream}_feature.npy", "concatenate"),
    ("{video}/{chunk}.npy", "stack"),
]


@contextmanager
def open_npy_folder(folder: Path, options: Options, progress: Progress) -> Iterator[NamedArrays]:
    """An export, a layout that is known, or what --pattern explains. Raises ImportFailed."""
    options.only("a folder of .npy files", "pattern", "join", "digest")
    container = _NpyFolder(folder)
    manifest = folder / MANIFEST
    if manifest.is_file() and options.pattern is None:
        options.only("an export", "digest")
        plan = _plan_of_export(manifest)
        names = [name for streams in plan.arrays.values() for (name,) in streams.values()] + [MANIFEST]
    else:
        # Hidden files are no features: macOS keeps `._0.npy` beside `0.npy`.
        files = sorted(path for path in folder.rglob("[!.]*.npy") if path.is_file())
        names = [path.relative_to(folder).as_posix() for path in files]
        if not names:
            raise ImportFailed(f"{folder} holds no .npy files, and is no export: it has no {MANIFEST}")
        plan = _plan(names, options, folder)
        names = [name for name in names if name not in plan.passed_over]
    paths = {name: folder / name for name in names}
    yield NamedArrays("npy-folder", container, plan, paths, options.digest, progress)


class _NpyFolder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def shape(self, name: str) -> tuple[tuple[int, ...], str]:
        found = _usual_header(self._folder / name)
        if found is None:
            array = load_npy(self._folder / name, name, "r")
            found = array.shape, array.dtype.name
        return found

    def read(self, name: str) -> NDArray[Any]:
        return load_npy(self._folder / name, name)


def _usual_header(path: Path) -> tuple[tuple[int, ...], str] | None:
    """Shape and dtype of a whole file of version 1.0; None for any other, which numpy is to judge.

    A folder has few different headers and very many files, and numpy takes longer to parse than to read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            start, size = file.read(_HEADER_BYTES), os.fstat(file.fileno()).st_size
        header = start[: 10 + int.from_bytes(start[8:10], "little")]
        shape, dtype = _parsed(header)
    except _NPY_FAULTS:
        return None
    whole = size == len(header) + prod(shape) * dtype.itemsize and not dtype.hasobject
    return (shape, dtype.name) if whole else None


@lru_cache(maxsize=1024)
def _parsed(header: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    stream = BytesIO(header)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("another version")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return shape, dtype


def load_npy(path: Path, name: str, mode: Any = None) -> NDArray[Any]:
    """An array of a .npy file, mapped into memory where `mode` is "r". Raises InvalidFeatures."""
    try:
        array = np.load(path, mmap_mode=mode, allow_pickle=False)
    except FileNotFoundError:
        raise InvalidFeatures(f"{name}: no such file") from None
    except _NPY_FAULTS as error:
        raise InvalidFeatures(f"{name} cannot be read as .npy: {error}") from None
    if not isinstance(array, np.ndarray):
        raise InvalidFeatures(f"{name} is a .npz archive; expected one array")
    return array


def _plan(names: Sequence[str], options: Options, folder: Path) -> Plan:
    if options.pattern is not None:
        return plan_by_names(names, options, str(folder))
    if options.join:
        raise ImportFailed("--join is for --pattern: the layouts that are known need no help")
    for text, join in _LAYOUTS:
        pattern = Pattern(text)
        if all(pattern.place(name) for name in names):
            return plan_by_pattern(names, pattern, join == "stack", str(folder))
    if not any("/" in name for name in names):
        return plan_by_pattern(names, Pattern("{video}.npy"), False, str(folder))
    known = "".join(f"\n  {text}" for text, _ in [*_LAYOUTS, ("{video}.npy, without subfolders", "")])
    raise ImportFailed(
        f"{folder} has no layout that is known:{known}\nFound {some(names, 4)}. Say with --pattern how they"
        " are to be read, such as --pattern '{video}/{stream}.npy'"
    )


def _plan_of_export(manifest: Path) -> Plan:
    try:
        content = json.loads(manifest.read_bytes())
        plan = Plan({video: _files(entry["files"]) for video, entry in content["videos"].items()})
        plan.metas = {video: dict(entry["meta"]) for video, entry in content["videos"].items()}
        plan.layout = exported(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ImportFailed(
            f"{manifest} is not the manifest of an export: {error!r}; with --pattern it is passed over"
        ) from None
    return plan


def _files(files: dict[str, str]) -> dict[str, list[str]]:
    for name in files.values():
        if len(PurePosixPath(name).parts) != 1 or name == "..":
            raise ValueError(f"{name!r} is not the name of a file in this folder")
    return {stream: [name] for stream, name in files.items()}
