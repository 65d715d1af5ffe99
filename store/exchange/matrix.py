"""A source that is one matrix, a row a video, with a list of the videos beside it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import ImportFailed, InvalidFeatures
from store.exchange.arrays import FAULTS, Rows
from store.exchange.source import STREAM, VERSION, Source, narrowed, stored_dtype
from store.labels.errors import some

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
    correspond, a column has no finite value, or a value lies beyond float32.
    """
    dtype = _checked(rows, what, videos, listed, missing)
    flat = len(rows.shape) == 2
    imputing = flat and missing != "quarantine"
    holes = _holes(rows, what) if imputing else {}
    medians = _medians(rows, what, sorted({column for columns in holes.values() for column in columns}))
    row_of = {video: row for row, video in enumerate(videos)}

    def read(video: str) -> dict[str, NDArray[Any]]:
        number = row_of[video]
        try:
            row = np.array(rows[number])  # [D] or [n, …]
        except FAULTS as error:
            raise InvalidFeatures(f"{what}: row {number} cannot be read: {error}") from None
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
    try:
        return "float32" if rows.dtype.kind in "iu" else stored_dtype(rows.dtype.name)
    except InvalidFeatures as error:
        raise ImportFailed(f"{what}: {error}") from None


def _blocks(rows: Rows) -> Iterator[tuple[int, NDArray[Any]]]:
    step = max(1, _BLOCK_BYTES // (rows.shape[1] * 8))
    for first in range(0, rows.shape[0], step):
        yield first, np.asarray(rows[first : first + step])


def _holes(rows: Rows, what: str) -> dict[int, list[int]]:
    """Row → its columns without a finite value."""
    holes: dict[int, list[int]] = {}
    limit = float(np.finfo(np.float32).max)
    for first, block in _blocks(rows):
        finite = np.isfinite(block)
        for row in np.flatnonzero(~finite.all(axis=1)):
            holes[first + int(row)] = np.flatnonzero(~finite[row]).tolist()
        if block.dtype.itemsize > 4:
            beyond = np.argwhere(finite & (np.abs(block.astype(np.float64)) > limit))
            if len(beyond):
                row, column = beyond[0].tolist()
                found = f"row {first + row}, column {column} is {block[row, column]:g}"
                raise ImportFailed(f"{what}: {found}: beyond float32")
    return holes


def _medians(rows: Rows, what: str, columns: list[int]) -> dict[int, float]:
    medians: dict[int, float] = {}
    step = max(1, _BLOCK_BYTES // (rows.shape[0] * 8))
    for first in range(0, len(columns), step):
        some_columns = columns[first : first + step]
        values = np.concatenate([block[:, some_columns] for _, block in _blocks(rows)])  # [videos, columns]
        for column, given in zip(some_columns, values.T.astype(np.float64), strict=True):
            finite = given[np.isfinite(given)]
            if len(finite):
                medians[column] = float(np.median(finite))
    empty = [str(column) for column in columns if column not in medians]
    if empty:
        raise ImportFailed(f"{what}: no finite value in the columns {some(empty)}")
    return medians
