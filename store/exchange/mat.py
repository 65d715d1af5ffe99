"""Matrices of MATLAB files, one row a video."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from store.errors import ImportFailed
from store.exchange.digest import file_sha256
from store.exchange.ids import listed_ids, nearest
from store.exchange.matrix import Matrix
from store.exchange.source import Options, Progress
from store.labels.errors import some

# What scipy raises on truncated and damaged files, found by truncating and damaging one.
_MATLAB_FAULTS = (MatReadError, ValueError, TypeError, IndexError, KeyError, OSError, MemoryError, zlib.error)


@contextmanager
def open_mat(file: Path, options: Options, progress: Progress) -> Iterator[Matrix]:  # noqa: ARG001
    """The rows of the matrix --key, as float32. Raises ImportFailed, DuplicateVideo."""
    options.only("a MATLAB file", "key", "ids", "missing")
    if options.key is None or options.ids is None:
        raise ImportFailed(f"{file}: a MATLAB file needs --key (the matrix in it) and --ids (its videos)")
    matrix = read_matrix(file, options.key)  # [videos, D] float64
    told = {"file_sha256": file_sha256(file), "key": options.key, "dimensions": matrix.shape[1]}
    videos = listed_ids(options.ids)
    yield Matrix(matrix, f"{file}: {options.key}", videos, options.ids, options.missing, told)


def read_matrix(file: Path, key: str) -> NDArray[np.float64]:
    """A real matrix [rows, columns] of a .mat file, version 7.3 (HDF5) included. Raises ImportFailed."""
    if not file.is_file():
        raise ImportFailed(f"{file}: no such file")
    try:
        content: dict[str, Any] = loadmat(file)
    except NotImplementedError:
        content = _read_hdf5(file)
    except _MATLAB_FAULTS as error:
        raise ImportFailed(f"{file} cannot be read as a MATLAB file: {error}") from None
    names = [name for name in content if not name.startswith(("__", "#"))]
    if key not in names:
        raise ImportFailed(f"{file} has no {key!r}{nearest(key, names)}; it has {some(names, 40)}")
    matrix = content[key]
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        found = f"{list(matrix.shape)} {matrix.dtype}" if hasattr(matrix, "shape") else type(matrix).__name__
        raise ImportFailed(f"{file}: {key} is {found}; expected a matrix of real numbers, one row a video")
    if matrix.size == 0:
        raise ImportFailed(f"{file}: {key} is empty: {list(matrix.shape)}")
    return matrix.astype(np.float64)


def _read_hdf5(file: Path) -> dict[str, Any]:
    try:
        with h5py.File(file) as content:
            # MATLAB keeps matrices by column, so HDF5 shows them transposed.
            return {
                name: item[()].T if isinstance(item, h5py.Dataset) else item.name
                for name, item in content.items()
            }
    except OSError as error:
        raise ImportFailed(f"{file} cannot be read as a MATLAB 7.3 file: {error}") from None
