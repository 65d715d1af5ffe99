"""The storage backends by name."""

from store.backends import hdf5, zarr, zstd
from store.backends.base import Backend
from store.backends.spans import coded_spans, hdf5_spans, zarr_spans
from store.errors import UnknownBackend

BACKENDS = ("zarr", "hdf5")
"""What parts are written as."""

_ZARR = Backend("zarr", "", zarr.ZarrBody, zarr_spans, zarr.check)
_READ = {
    "zarr": _ZARR,
    "hdf5": Backend("hdf5", ".h5", hdf5.Hdf5Body, hdf5_spans, hdf5.check),
    # Read alone: what takes the place of such a part is an uncompressed one.
    "zarr-zstd": Backend("zarr", "", zarr.ZarrBody, coded_spans, zarr.check, zstd.decode),
}


def backend(name: str) -> Backend:
    """The backend that parts of that name are read by. Raises UnknownBackend."""
    if name not in _READ:
        raise UnknownBackend(f"there is no storage backend {name!r}; there is: {', '.join(_READ)}")
    return _READ[name]


def writable(name: str) -> Backend:
    """The backend that new parts are written by. Raises UnknownBackend."""
    if name not in BACKENDS:
        raise UnknownBackend(f"no storage backend {name!r} is written; there is: {', '.join(BACKENDS)}")
    return _READ[name]
