"""Arrays by name, whatever files they are in: .npy, HDF5, safetensors, MATLAB. No reader unpickles."""

import csv
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tokenize import TokenError
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from store.errors import ImportFailed, InvalidFeatures
from store.format.dtypes import array_dtype

FAULTS = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, EOFError, OverflowError),
    *(SyntaxError, TokenError, MemoryError, zlib.error, csv.Error, MatReadError, SafetensorError),
)
"""What the libraries raise on truncated and damaged files, found by truncating and damaging some."""
_TENSOR_DTYPES = {"F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16"}


class Rows(Protocol):
    """An array that is read where it is indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[videos, …] or [n, …]."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""

    def __getitem__(self, index: Any) -> Any:
        """Rows, or columns of rows, as an array."""


@dataclass(frozen=True)
class Arrays:
    """Arrays by name."""

    kind: str
    """What the files are, for people."""
    names: list[str]
    open: Callable[[str, bool], Rows]
    """Name, and whether all of it will be read → the array. Raises InvalidFeatures and `FAULTS`."""
    passed_over: dict[str, str] = field(default_factory=dict)
    """What else there is: its name → why it is no array of features."""

    def look(self, name: str) -> Rows:
        """An array that is not read yet. Raises InvalidFeatures where it is damaged."""
        with self._named(name):
            return self.open(name, False)

    def read(self, name: str) -> NDArray[Any]:
        """A whole array. Raises InvalidFeatures where it is damaged."""
        with self._named(name):
            return np.asarray(self.open(name, True)[()])

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        try:
            yield
        except FAULTS as error:
            raise InvalidFeatures(f"{name} cannot be read as {self.kind}: {error}") from None


def npy_files(files: Mapping[str, Path]) -> Arrays:
    """A .npy file for each array, opened when it is asked for."""

    def opened(name: str, whole: bool) -> Rows:
        # Whole arrays not by a mapping, where a fault of the disk would end the process.
        array = np.load(files[name], mmap_mode=None if whole else "r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            array.close()
            raise InvalidFeatures(f"{name} is a .npz archive; expected one array")
        return array

    return Arrays(".npy", list(files), opened)


@contextmanager
def hdf5_file(file: Path, kind: str = "HDF5") -> Iterator[Arrays]:
    """The datasets of numbers at any depth, but for groups that begin with #, which are MATLAB's own."""
    names: list[str] = []
    passed_over: dict[str, str] = {}

    def see(name: str | bytes, item: Any) -> None:
        if isinstance(name, bytes):
            passed_over[repr(name)] = "its name is no UTF-8 text"
        elif isinstance(item, h5py.Dataset) and not name.startswith("#"):
            if item.dtype.kind in "fiu":
                names.append(name)
            else:
                passed_over[name] = f"no numbers: {item.dtype}"

    def opened(name: str, whole: bool) -> Rows:  # noqa: ARG001
        item = content[name]
        if not isinstance(item, h5py.Dataset) or item.shape is None:
            raise InvalidFeatures(f"{name} is a group or empty; expected a dataset of numbers")
        rows: Rows = item
        return rows

    with refusing(file, kind):
        content = h5py.File(file)
    with content:
        with refusing(file, kind):
            content.visititems(see)
        yield Arrays(kind, sorted(names), opened, passed_over)


def safetensors_files(files: Iterable[Path]) -> Arrays:
    """The tensors of one file, or of several shards. Raises ImportFailed for one that is damaged.

    The library's numpy reader has no bfloat16, so it only checks the files; tensors are read by position.
    """
    tensors: dict[str, tuple[Path, dict[str, Any], int]] = {}
    for file in files:
        with refusing(file, "safetensors"):
            with safe_open(file, "numpy"):
                pass
            with file.open("rb") as stream:
                size = int.from_bytes(stream.read(8), "little")
                header: dict[str, Any] = json.loads(stream.read(size))
        header.pop("__metadata__", None)
        double = next((name for name in header if name in tensors), None)
        if double is not None:
            raise ImportFailed(f"both {tensors[double][0]} and {file} have a tensor {double!r}")
        tensors |= {name: (file, tensor, 8 + size) for name, tensor in header.items()}

    def opened(name: str, whole: bool) -> Rows:  # noqa: ARG001
        file, tensor, start = tensors[name]
        if tensor["dtype"] not in _TENSOR_DTYPES:
            raise InvalidFeatures(f"{name}: found {tensor['dtype']}; expected {', '.join(_TENSOR_DTYPES)}")
        begin, end = tensor["data_offsets"]
        content = np.memmap(file, np.uint8, "r")[start + begin : start + end]
        rows: Rows = content.view(array_dtype(_TENSOR_DTYPES[tensor["dtype"]])).reshape(tensor["shape"])
        return rows

    return Arrays("safetensors", sorted(tensors), opened)


@contextmanager
def mat_file(file: Path) -> Iterator[Arrays]:
    """The matrices of a MATLAB file. Raises ImportFailed."""
    kind = "a MATLAB file"
    if h5py.is_hdf5(file):
        with hdf5_file(file, kind) as arrays:
            # Version 7.3. MATLAB keeps matrices by column, so HDF5 shows them transposed.
            yield replace(arrays, open=lambda name, whole: np.asarray(arrays.open(name, whole)[()]).T)
        return
    # On some damaged files scipy ends the process: another one reads them first.
    read = "import sys, scipy.io; scipy.io.loadmat(sys.argv[1])"
    if subprocess.run([sys.executable, "-c", read, file], capture_output=True, check=False).returncode < 0:
        raise ImportFailed(f"{file} cannot be read as {kind}: what reads it crashes")
    with refusing(file, kind):
        content: dict[str, NDArray[Any]] = loadmat(file)
    names = [name for name in content if isinstance(content[name], np.ndarray)]
    yield Arrays(kind, names, lambda name, _: content[name])


@contextmanager
def refusing(file: Path, kind: str) -> Iterator[None]:
    """Raises ImportFailed, naming the file, for what the libraries raise on one that is damaged."""
    try:
        yield
    except FAULTS as error:
        raise ImportFailed(f"{file} cannot be read as {kind}: {error}") from None
