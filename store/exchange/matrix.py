"""A source that is one matrix, a row a video, with a list of the videos beside it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from store.errors import ImportFailed, InvalidFeatures
from store.exchange.source import STREAM, VERSION, Fault, narrowed, stored_dtype
from store.labels.errors import some

_BLOCK_BYTES = 64 << 20


class Rows(Protocol):
    """A numpy array, one mapped from a file, or an HDF5 dataset."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[videos, …]."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""

    def __getitem__(self, index: Any) -> Any:
        """Rows, or columns of rows, as an array."""


class Matrix:
    """Videos as rows of a matrix [videos, D], one item (1, D) each, or [videos, n, …], n items; a `Source`.

    In [videos, D], missing values (NaN, infinite) become the median of their column, where `missing` is
    `median`. Never holds more than a block of the matrix. Raises ImportFailed where rows and videos do not
    correspond, a column has no finite value, or a value lies beyond float32.
    """

    faults: Mapping[str, Fault] = {}
    passed_over: Mapping[str, str] = {}

    def __init__(
        self,
        rows: Rows,
        what: str,
        videos: Sequence[str],
        listed: str,
        missing: str | None,
        told: Mapping[str, Any],
    ) -> None:
        """`what` and `listed` name the matrix and the list to people; `told` is for the specification."""
        if len(rows.shape) < 2 or 0 in rows.shape or rows.dtype.kind not in "fiu":
            raise ImportFailed(
                f"{what} is {list(rows.shape)} {rows.dtype}; expected real numbers [videos, …], one row each"
            )
        if len(videos) != rows.shape[0]:
            raise ImportFailed(
                f"{what} has {rows.shape[0]:,} rows, but {listed} lists {len(videos):,} videos:"
                " expected one row for each"
            )
        self.videos = videos
        try:
            self.dtype = "float32" if rows.dtype.kind in "iu" else stored_dtype(rows.dtype.name)
        except InvalidFeatures as error:
            raise ImportFailed(f"{what}: {error}") from None
        self._rows = rows
        self._what = what
        self._told = told
        self._row_of = {video: row for row, video in enumerate(videos)}
        self._flat = len(rows.shape) == 2
        if missing == "median" and not self._flat:
            raise ImportFailed(
                f"{what} is {list(rows.shape)}: only a matrix [videos, D] has columns to impute"
            )
        self.rule = "column median" if self._flat and missing != "quarantine" else "none"
        holes = self._survey() if self.rule != "none" else {}
        self.imputed = {videos[row]: columns for row, columns in holes.items()}
        self._medians = self._column_medians(sorted({c for columns in holes.values() for c in columns}))

    def specification(self) -> dict[str, Any]:
        """See `Source`."""
        return {
            "kind": "import",
            "version": VERSION,
            "ids_sha256": hashlib.sha256("\n".join(self.videos).encode("utf-8")).hexdigest(),
            "imputation": {"rule": self.rule, "values": sum(map(len, self.imputed.values()))},
            **self._told,
        }

    def meta(self, video: str) -> dict[str, Any]:
        """See `Source`."""
        return {"imputed_columns": self.imputed[video]} if video in self.imputed else {}

    def read(self, video: str) -> dict[str, NDArray[Any]]:
        """See `Source`."""
        try:
            row = np.array(self._rows[self._row_of[video]])  # [D] or [n, …]
        except OSError as error:
            raise InvalidFeatures(
                f"{self._what}: row {self._row_of[video]} cannot be read: {error}"
            ) from None
        if row.dtype.kind in "iu":
            row = row.astype(np.float64)
        for column in self.imputed.get(video, []):
            row[column] = self._medians[column]
        kept = narrowed(row, self.dtype)
        return {STREAM: kept[np.newaxis, np.newaxis] if self._flat else kept}

    def _blocks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        step = max(1, _BLOCK_BYTES // (self._rows.shape[1] * 8))
        for first in range(0, self._rows.shape[0], step):
            yield first, np.asarray(self._rows[first : first + step])

    def _survey(self) -> dict[int, list[int]]:
        holes: dict[int, list[int]] = {}
        limit = float(np.finfo(np.float32).max)
        for first, block in self._blocks():
            finite = np.isfinite(block)
            for row in np.flatnonzero(~finite.all(axis=1)):
                holes[first + int(row)] = np.flatnonzero(~finite[row]).tolist()
            if block.dtype.itemsize > 4:
                beyond = np.argwhere(finite & (np.abs(block.astype(np.float64)) > limit))
                if len(beyond):
                    row, column = beyond[0].tolist()
                    found = f"row {first + row}, column {column} is {block[row, column]:g}"
                    raise ImportFailed(f"{self._what}: {found}: beyond float32")
        return holes

    def _column_medians(self, columns: list[int]) -> dict[int, float]:
        medians: dict[int, float] = {}
        step = max(1, _BLOCK_BYTES // (self._rows.shape[0] * 8))
        for first in range(0, len(columns), step):
            some_columns = columns[first : first + step]
            values = np.concatenate([b[:, some_columns] for _, b in self._blocks()])  # [videos, some columns]
            for column, given in zip(some_columns, values.T.astype(np.float64), strict=True):
                whole = given[np.isfinite(given)]
                if len(whole):
                    medians[column] = float(np.median(whole))
        empty = [str(column) for column in columns if column not in medians]
        if empty:
            raise ImportFailed(f"{self._what}: no finite value in the columns {some(empty)}")
        return medians


def told(format: str, rows: Rows, digest: Mapping[str, str], key: str | None = None) -> dict[str, Any]:
    """What the specification says of a matrix in a file."""
    layout = {"matrix": key, "dtype": rows.dtype.name, "shape": list(rows.shape[1:])}
    return {"format": format, "layout": layout, "digest": dict(digest)}
