"""Arrays by name, whatever files they are in: .npy, HDF5, safetensors, MATLAB.

Nothing that is pickled in a file is unpickled.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from config.errors import refusing
from store.errors import ImportFailed, InvalidFeatures
from store.format.dtypes import array_dtype
from store.labels.tables import read_matlab

Rows = NDArray[Any]
"""[videos, …] or [n, …]: an array, or an HDF5 dataset, which is read where it is indexed."""
_TENSOR_DTYPES = {"F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16"}


@dataclass(frozen=True)
class Arrays:
    """Arrays by name."""

    kind: str
    """What the files are, for people."""
    names: list[str]
    open: Callable[[str, bool], Rows]
    """Name, and whether all of it will be read → the array; raises what its library raises."""
    passed_over: dict[str, str] = field(default_factory=dict)
    """What else there is: its name → why it is no array of features."""

    def look(self, name: str) -> Rows:
        """An array that is not read yet. Raises InvalidFeatures where it is damaged."""
        with refusing(InvalidFeatures, f"{name} cannot be read as {self.kind}"):
            return self.open(name, False)

    def read(self, name: str) -> NDArray[Any]:
        """A whole array. Raises InvalidFeatures where it is damaged."""
        with refusing(InvalidFeatures, f"{name} cannot be read as {self.kind}"):
            return np.asarray(self.open(name, True)[()])


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
    """The datasets of numbers at any depth, but for groups that begin with #, which are MATLAB's own.

    Raises ImportFailed.
    """
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

    with refusing(ImportFailed, f"{file} cannot be read as {kind}"):
        content = h5py.File(file)
        content.visititems(see)
    with content:
        yield Arrays(kind, sorted(names), opened, passed_over)


def safetensors_files(files: Iterable[Path]) -> Arrays:
    """The tensors of one file, or of several shards. Raises ImportFailed for one that is damaged.

    The library's numpy reader has no bfloat16, so it only checks the files; tensors are read by position.
    """
    tensors: dict[str, tuple[Path, dict[str, Any], int]] = {}
    for file in files:
        with refusing(ImportFailed, f"{file} cannot be read as safetensors"):
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
    with refusing(ImportFailed, f"{file} cannot be read as {kind}"):
        content = read_matlab(file)
    names = [name for name, value in content.items() if isinstance(value, np.ndarray)]
    yield Arrays(kind, names, lambda name, _: content[name])
