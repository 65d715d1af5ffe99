"""A source that is one matrix, a row a video, with a list of the videos beside it."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from config.errors import refusing
from store.errors import DuplicateVideo, ImportFailed, InvalidFeatures
from store.exchange.arrays import Rows
from store.exchange.source import STREAM, VERSION, Source, narrowed, stored_dtype
from store.labels.errors import LabelError, some
from store.labels.resolve import video_id
from store.labels.tables import read_table

_BLOCK_BYTES = 64 << 20


def matrix_source(
    rows: Rows,
    what: str,
    videos: Sequence[str],
    listed: str,
    missing: str | None,
    about: Mapping[str, Any],
) -> Source:
    """Videos as rows of a matrix [videos, D], one item (1, D) each, or [videos, n, …], n items.

    In [videos, D], missing values (NaN, infinite) become the median of their column, unless `missing` is
    `quarantine`. Never holds more than a block of the matrix. `what` and `listed` name the matrix and the
    list to people; `about` is for the specification. Raises ImportFailed where rows and videos do not
    correspond or a column has no finite value, and InvalidFeatures for dtypes that are not stored.
    """
    dtype = _checked(rows, what, videos, listed, missing)
    flat = len(rows.shape) == 2
    imputing = flat and missing != "quarantine"
    holes = _holes(rows) if imputing else {}
    medians = _medians(rows, what, sorted({column for columns in holes.values() for column in columns}))
    row_of = {video: row for row, video in enumerate(videos)}

    def read(video: str) -> dict[str, NDArray[Any]]:
        number = row_of[video]
        with refusing(InvalidFeatures, f"{what}: row {number} cannot be read"):
            row = np.array(rows[number])  # [D] or [n, …]
        if row.dtype.kind in "iu":
            row = row.astype(np.float64)
        for column in holes.get(number, []):
            row[column] = medians[column]
        kept = narrowed(row, dtype)
        return {STREAM: kept[np.newaxis, np.newaxis] if flat else kept}

    imputed = {videos[row]: columns for row, columns in holes.items()}
    rule = "column median" if imputing else "none"
    specification = {
        "kind": "import",
        "version": VERSION,
        "ids_sha256": hashlib.sha256("\n".join(videos).encode("utf-8")).hexdigest(),
        "imputation": {"rule": rule, "values": sum(map(len, imputed.values()))},
        **about,
    }
    metas = {video: {"imputed_columns": columns} for video, columns in imputed.items()}
    return Source(videos, specification, read, metas, imputed=imputed)


def listed_ids(ids: str) -> list[str]:
    """The canonical video ids that `--ids` names: FILE:COLUMN, FILE.h5:DATASET, or FILE, one id a line.

    FILE with a COLUMN is any table that labels may be in. Raises ImportFailed, DuplicateVideo.
    """
    name, colon, column = (ids, ":", "id") if Path(ids).is_file() else ids.rpartition(":")
    file = Path(name)
    if not file.is_file():
        what = file if colon else f"--ids {ids}"
        raise ImportFailed(
            f"{what}: no such file; expected FILE:COLUMN, as in metadata.csv:flickr_id, or FILE"
        )
    if file == Path(ids):
        with refusing(ImportFailed, f"{file} cannot be read as UTF-8 text"):
            names = file.read_text(encoding="utf-8-sig").splitlines()
        places = [f"line {number}" for number in range(1, len(names) + 1)]
    elif h5py.is_hdf5(file):
        names = _strings(file, column)
        places = [f"entry {number}" for number in range(1, len(names) + 1)]
    else:
        try:
            table = read_table(file, column)
            index = table.find(column, [])
        except LabelError as error:
            raise ImportFailed(str(error)) from None
        names, places = [row[index or 0] for row in table.rows], table.places
    videos = [video_id(name) for name in names]
    if empty := [place for place, video in zip(places, videos, strict=True) if not video]:
        raise ImportFailed(f"{file}: no {column} in {some(empty)}")
    if repeated := [video for video, count in Counter(videos).items() if count > 1]:
        raise DuplicateVideo(f"{file}: {column} lists {len(repeated)} videos twice: {some(repeated)}")
    return videos


def _strings(file: Path, dataset: str) -> list[str]:
    with refusing(ImportFailed, f"{file} cannot be read as HDF5"), h5py.File(file) as content:
        item = content.get(dataset)
        if not isinstance(item, h5py.Dataset) or h5py.check_string_dtype(item.dtype) is None:
            known = some(list(content))
            raise ImportFailed(f"{file} has no dataset of strings {dataset!r}; it has {known}")
        return [str(name) for name in item.asstr()[()].ravel()]


def _checked(rows: Rows, what: str, videos: Sequence[str], listed: str, missing: str | None) -> str:
    """The dtype that the rows are kept as."""
    shape = list(rows.shape)
    if len(shape) < 2 or 0 in shape or rows.dtype.kind not in "fiu":
        raise ImportFailed(f"{what} is {shape} {rows.dtype}; expected real numbers [videos, …], one row each")
    if len(videos) != shape[0]:
        raise ImportFailed(
            f"{what} has {shape[0]:,} rows, but {listed} lists {len(videos):,} videos:"
            " expected one row for each"
        )
    if missing == "median" and len(shape) != 2:
        raise ImportFailed(f"{what} is {shape}: only a matrix [videos, D] has columns to impute")
    return "float32" if rows.dtype.kind in "iu" else stored_dtype(what, rows.dtype.name)


def _blocks(rows: Rows) -> Iterator[tuple[int, NDArray[Any]]]:
    step = max(1, _BLOCK_BYTES // (rows.shape[1] * 8))
    for first in range(0, rows.shape[0], step):
        yield first, np.asarray(rows[first : first + step])


def _holes(rows: Rows) -> dict[int, list[int]]:
    """Row → its columns without a finite value."""
    holes: dict[int, list[int]] = {}
    for first, block in _blocks(rows):
        finite = np.isfinite(block)
        for row in np.flatnonzero(~finite.all(axis=1)):
            holes[first + int(row)] = np.flatnonzero(~finite[row]).tolist()
    return holes


def _medians(rows: Rows, what: str, columns: list[int]) -> dict[int, float]:
    medians: dict[int, float] = {}
    step = max(1, _BLOCK_BYTES // (rows.shape[0] * 8))
    for first in range(0, len(columns), step):
        chosen = columns[first : first + step]
        values = np.concatenate([block[:, chosen] for _, block in _blocks(rows)])  # [videos, columns]
        for column, given in zip(chosen, values.T.astype(np.float64), strict=True):
            finite = given[np.isfinite(given)]
            medians[column] = float(np.median(finite)) if len(finite) else np.nan
    if empty := [column for column, median in medians.items() if np.isnan(median)]:
        raise ImportFailed(f"{what}: no finite value in the columns {some(empty)}")
    return medians
