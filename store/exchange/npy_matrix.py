"""A matrix in one .npy file, a row a video."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.errors import ImportFailed, InvalidFeatures
from store.exchange.digest import digest
from store.exchange.ids import listed_ids
from store.exchange.matrix import Matrix, told
from store.exchange.npy_folder import load_npy
from store.exchange.source import Options, Progress


@contextmanager
def open_npy(file: Path, options: Options, progress: Progress) -> Iterator[Matrix]:
    """The rows of the matrix, mapped and not loaded. Raises ImportFailed, DuplicateVideo."""
    options.only("a .npy file", "ids", "missing", "digest")
    if options.ids is None:
        raise ImportFailed(f"{file}: a matrix needs --ids (its videos, in the order of the rows)")
    try:
        rows = load_npy(file, str(file), "r")
    except InvalidFeatures as error:
        raise ImportFailed(str(error)) from None
    videos = listed_ids(options.ids)
    about = told("npy", rows, digest({"": file}, options.digest, progress))
    yield Matrix(rows, str(file), videos, options.ids, options.missing, about)
