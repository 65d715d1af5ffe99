"""Features that were made elsewhere: a matrix in a MATLAB file, one row a video, and the videos' ids."""

import csv
import difflib
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from store.errors import DuplicateVideo, ImportFailed
from store.feature_set import FeatureSet
from store.features import FeatureStore
from store.label_errors import some
from store.resolve import video_id

STREAM = "features"
_VERSION = 1
# What scipy raises on truncated and damaged files, found by truncating and damaging one.
_MATLAB_FAULTS = (MatReadError, ValueError, TypeError, IndexError, KeyError, OSError, MemoryError, zlib.error)


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    features: FeatureSet
    videos: int
    """Rows of the matrix."""
    new: int
    """Of them, not imported before."""
    imputed: dict[str, list[int]]
    """Video → columns (from 0) whose missing values were replaced by the column's median."""


def import_matrix(
    store: FeatureStore, dataset: str, encoder: str, file: Path, key: str, ids_file: Path, id_column: str
) -> Imported:
    """Import the matrix `key` of a .mat file, [videos, D]: each row becomes one item (1, D), float32.

    Rows belong to the ids in `id_column` of a CSV file, in its order. Missing values (NaN, infinite) become
    the median of their column and are recorded. The same import twice changes nothing. Raises ImportFailed,
    DuplicateVideo.
    """
    matrix = read_matrix(file, key)  # [videos, D] float64
    videos = read_ids(ids_file, id_column)
    if len(videos) != len(matrix):
        raise ImportFailed(
            f"{file}: {key} has {len(matrix):,} rows, but {ids_file} lists {len(videos):,} videos:"
            " expected one row for each"
        )
    complete, missing = impute(matrix, f"{file}: {key}")
    imputed = {
        videos[row]: np.flatnonzero(missing[row]).tolist() for row in np.flatnonzero(missing.any(axis=1))
    }
    specification = {
        "kind": "import",
        "version": _VERSION,
        "file_sha256": _sha256(file.read_bytes()),
        "key": key,
        "ids_sha256": _sha256("\n".join(videos).encode("utf-8")),
        "dimensions": matrix.shape[1],
        "imputation": {"rule": "column median", "values": int(missing.sum())},
    }
    features = store.feature_set(dataset, encoder, specification)
    new = [row for row, video in enumerate(videos) if video not in features]
    with features.writer() as writer:
        for row in new:
            video = videos[row]
            meta = {"imputed_columns": imputed[video]} if video in imputed else {}
            writer.add(video, {STREAM: complete[row][np.newaxis, np.newaxis]}, meta)  # [1, 1, D]
    return Imported(features, len(videos), len(new), imputed)


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
        raise ImportFailed(f"{file} has no {key!r}{_nearest(key, names)}; it has {some(names, 40)}")
    matrix = content[key]
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        found = f"{list(matrix.shape)} {matrix.dtype}" if hasattr(matrix, "shape") else type(matrix).__name__
        raise ImportFailed(f"{file}: {key} is {found}; expected a matrix of real numbers, one row a video")
    if matrix.size == 0:
        raise ImportFailed(f"{file}: {key} is empty: {list(matrix.shape)}")
    return matrix.astype(np.float64)


def read_ids(file: Path, column: str) -> list[str]:
    """The canonical video ids in a column of a CSV file, in order. Raises ImportFailed, DuplicateVideo."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines, skipinitialspace=True)
            columns = list(reader.fieldnames or [])
            if column not in columns:
                raise ImportFailed(
                    f"{file} has no column {column!r}{_nearest(column, columns)}; it has {some(columns, 40)}"
                )
            videos = [video_id(row[column] or "") for row in reader]
    except FileNotFoundError:
        raise ImportFailed(f"{file}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImportFailed(f"{file} cannot be read as comma-separated UTF-8 text: {error}") from None
    empty = [str(line) for line, video in enumerate(videos, start=2) if not video]
    if empty:
        raise ImportFailed(f"{file}: no {column} in the rows {some(empty)}")
    repeated = [video for video, count in Counter(videos).items() if count > 1]
    if repeated:
        raise DuplicateVideo(f"{file}: {column} lists {len(repeated)} videos twice: {some(repeated)}")
    return videos


def impute(matrix: NDArray[np.float64], what: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Replace values that are not finite by the median of their column's finite ones.

    Returns the matrix as float32 and the mask of what was replaced. Raises ImportFailed for a column
    without any finite value, or a value beyond float32.
    """
    missing = ~np.isfinite(matrix)
    empty = np.flatnonzero(missing.all(axis=0))
    if len(empty):
        raise ImportFailed(f"{what}: no finite value in the columns {some([str(c) for c in empty])}")
    complete = matrix.copy()
    for column in np.flatnonzero(missing.any(axis=0)):
        holes = missing[:, column]
        complete[holes, column] = np.median(matrix[~holes, column])
    limit = float(np.finfo(np.float32).max)
    if np.abs(complete).max() > limit:
        at_row, at_column = np.argwhere(np.abs(complete) > limit)[0].tolist()
        found = complete[at_row, at_column]
        raise ImportFailed(f"{what}: row {at_row}, column {at_column} is {found:g}: beyond float32")
    return complete.astype(np.float32), missing


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


def _nearest(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
