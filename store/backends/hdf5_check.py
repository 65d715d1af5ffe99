"""Whether what plain HDF5 tools go by in a part says what its marker says."""

from pathlib import Path

import h5py

from store.backends.base import Fault
from store.backends.hdf5_write import chunk_offsets
from store.format.dtypes import file_dtype
from store.format.marker import Marker, StreamRows


def check(part: Path, marker: Marker) -> list[Fault]:
    """What differs, stream by stream; empty if all is well."""
    try:
        with h5py.File(part, "r", locking=False) as file:
            return [
                Fault(stream, fault)
                for stream, rows in marker.streams.items()
                if (fault := _fault(file, stream, rows)) is not None
            ]
    except (OSError, RuntimeError) as error:
        return [Fault(None, f"{part} cannot be opened as HDF5: {error}")]


def _fault(file: h5py.File, stream: str, rows: StreamRows) -> str | None:
    where = f"{file.filename}, dataset {stream!r}"
    expected = file_dtype(rows.dtype)
    try:
        dataset = file[stream]
        shape, dtype = list(dataset.shape), dataset.dtype
        attributes = {name: dataset.attrs[name] for name in expected.attributes}
        offsets = chunk_offsets(dataset)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        return f"{where} cannot be read: {error!r}"
    written = [rows.total, *rows.shape]
    if shape != written:
        return f"{where} has the shape {shape}; {written} was written"
    if dtype != expected.dtype or attributes != expected.attributes:
        return f"{where} has the dtype {dtype.name}; {rows.dtype} was written"
    if list(offsets) != rows.chunk_offsets:
        return f"{where} has its chunks at other places in the file than when it was written"
    return None
