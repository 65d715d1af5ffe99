"""The formats that can be imported, by name, and which of them a file or folder has."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import h5py

from store.errors import ImportFailed
from store.exchange.hdf5 import open_hdf5
from store.exchange.hdf5_writer import FILE as HDF5_EXPORT
from store.exchange.mat import open_mat
from store.exchange.npy_folder import open_npy_folder
from store.exchange.npy_matrix import open_npy
from store.exchange.safetensors_files import open_safetensors
from store.exchange.source import INCOMPLETE, Options, Progress, Source, quiet

Opener = Callable[[Path, Options, Progress], AbstractContextManager[Source]]

FORMATS: dict[str, Opener] = {
    "mat": open_mat,
    "npy": open_npy,
    "npy-folder": open_npy_folder,
    "hdf5": open_hdf5,
    "safetensors": open_safetensors,
}

_SUFFIXES = {
    ".mat": "mat",
    ".npy": "npy",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".he5": "hdf5",
    ".safetensors": "safetensors",
}


def open_source(
    path: Path, options: Options, format: str = "auto", progress: Progress = quiet
) -> AbstractContextManager[Source]:
    """Open features that were made elsewhere; `with` closes them.

    Raises ImportFailed for what is not of that format (`auto`: of any), and DuplicateVideo.
    """
    if (path / INCOMPLETE).is_file():
        raise ImportFailed(f"{path} is an export that was stopped: delete it, and export again")
    name = detect(path) if format == "auto" else format
    if name not in FORMATS:
        raise ImportFailed(f"no format {format!r}: expected auto, {', '.join(FORMATS)}")
    return FORMATS[name](path, options, progress)


def detect(path: Path) -> str:
    """The format of a file or folder. Raises ImportFailed."""
    if path.is_dir():
        if any(path.glob("*.safetensors")):
            return "safetensors"
        return "hdf5" if (path / HDF5_EXPORT).is_file() else "npy-folder"
    if not path.is_file():
        raise ImportFailed(f"{path}: no such file or folder")
    suffix = path.suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if path.name.endswith(".safetensors.index.json"):
        return "safetensors"
    if h5py.is_hdf5(path):
        return "hdf5"
    raise ImportFailed(f"{path}: its name tells no format: choose one with --format, {', '.join(FORMATS)}")
