"""Whether what plain Zarr tools go by in a part says what its marker says."""

import json
from pathlib import Path

from store.backends.base import Fault
from store.format.dtypes import file_dtype
from store.format.marker import Marker, StreamRows


def check(part: Path, marker: Marker) -> list[Fault]:
    """What differs, stream by stream; empty if all is well."""
    return [
        Fault(stream, fault)
        for stream, rows in marker.streams.items()
        if (fault := _fault(part / stream / "zarr.json", rows)) is not None
    ]


def _fault(file: Path, rows: StreamRows) -> str | None:
    expected = file_dtype(rows.dtype)
    try:
        metadata = json.loads(file.read_bytes())
        shape, dtype = metadata["shape"], metadata["data_type"]
        chunks = metadata["chunk_grid"]["configuration"]["chunk_shape"]
        attributes = {name: metadata["attributes"][name] for name in expected.attributes}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{file} cannot be read: {error!r}"
    written = [rows.total, *rows.shape]
    if shape != written:
        return f"{file} has the shape {shape}; {written} was written"
    file_items = rows.chunk_items * max(1, rows.file_chunks)
    if chunks != [file_items, *rows.shape]:
        return f"{file} has the chunks {chunks}; {[file_items, *rows.shape]} was written"
    if dtype != expected.dtype.name or attributes != expected.attributes:
        return f"{file} has the data type {dtype!r}; {rows.dtype} was written"
    return None
