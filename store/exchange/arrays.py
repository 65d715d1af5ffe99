"""Arrays by name, whatever files they are in: .npy, HDF5, safetensors, MATLAB. No reader unpickles."""

import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    *(SyntaxError, TokenError, MemoryError, zlib.error, MatReadError, SafetensorError),
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


class Arrays:
    """Arrays by name; `with` closes their files."""

    kind: str
    """What the files are, for people."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.passed_over: dict[str, str] = {}
        """What else there is: its name → why it is no array of features."""

    def look(self, name: str) -> Rows:
        """An array that is not read yet. Raises InvalidFeatures where it is damaged."""
        with self._named(name):
            return self._open(name)

    def read(self, name: str) -> NDArray[Any]:
        """A whole array. Raises InvalidFeatures where it is damaged."""
        with self._named(name):
            return np.array(self._open(name)[()])

    def __enter__(self) -> "Arrays":
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is open."""

    def _open(self, name: str) -> Rows:
        raise NotImplementedError

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        try:
            yield
        except InvalidFeatures:
            raise
        except FAULTS as error:
            raise InvalidFeatures(f"{name} cannot be read as {self.kind}: {error}") from None


class NpyFiles(Arrays):
    """A .npy file for each array, opened when it is asked for."""

    kind = ".npy"

    def __init__(self, files: Mapping[str, Path]) -> None:
        super().__init__()
        self.names = list(files)
        self._files = files

    def _open(self, name: str) -> Rows:
        return self._load(name, mapped=True)

    def read(self, name: str) -> NDArray[Any]:
        """See `Arrays`. Not by a mapping, where a fault of the disk would end the process."""
        with self._named(name):
            return self._load(name, mapped=False)

    def _load(self, name: str, mapped: bool) -> NDArray[Any]:
        array = np.load(self._files[name], mmap_mode="r" if mapped else None, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            array.close()
            raise InvalidFeatures(f"{name} is a .npz archive; expected one array")
        return array


class Hdf5File(Arrays):
    """The datasets of an HDF5 file, at any depth; groups that begin with # are MATLAB's own."""

    kind = "HDF5"

    def __init__(self, file: Path) -> None:
        super().__init__()
        with refusing(file, self.kind):
            self._content = h5py.File(file)
            self._content.visititems(self._see)
        self.names.sort()

    def __exit__(self, *_: object) -> None:
        self._content.close()

    def _see(self, name: str | bytes, item: Any) -> None:
        if isinstance(name, bytes):
            self.passed_over[repr(name)] = "its name is no UTF-8 text"
        elif isinstance(item, h5py.Dataset) and not name.startswith("#"):
            if item.dtype.kind in "fiu":
                self.names.append(name)
            else:
                self.passed_over[name] = f"no numbers: {item.dtype}"

    def _open(self, name: str) -> Rows:
        item = self._content[name]
        if not isinstance(item, h5py.Dataset) or item.shape is None:
            raise InvalidFeatures(f"{name} is an empty dataset or a group; expected a dataset of numbers")
        rows: Rows = item
        return rows


class SafetensorsFiles(Arrays):
    """The tensors of one file, or of several shards.

    The library's numpy reader has no bfloat16, so it only checks the files; tensors are read by position.
    """

    kind = "safetensors"

    def __init__(self, files: list[Path], strict: bool = True) -> None:
        """`strict`: a damaged file is refused. Otherwise what it holds counts as damaged."""
        super().__init__()
        self._tensors: dict[str, tuple[Path, dict[str, Any], int]] = {}
        self._damages: list[str] = []
        for file in files:
            try:
                found = self._header(file)
            except ImportFailed as error:
                if strict:
                    raise
                self._damages.append(str(error))
                continue
            double = next((name for name in found if name in self._tensors), None)
            if double is not None:
                raise ImportFailed(f"both {self._tensors[double][0]} and {file} have a tensor {double!r}")
            self._tensors |= found
        self.names = sorted(self._tensors)

    def _header(self, file: Path) -> dict[str, tuple[Path, dict[str, Any], int]]:
        with refusing(file, self.kind):
            with safe_open(file, "numpy"):
                pass
            with file.open("rb") as stream:
                size = int.from_bytes(stream.read(8), "little")
                content: dict[str, Any] = json.loads(stream.read(size))
            content.pop("__metadata__", None)
            return {name: (file, tensor, 8 + size) for name, tensor in content.items()}

    def _open(self, name: str) -> Rows:
        if name not in self._tensors:
            raise InvalidFeatures("; ".join([f"there is no tensor {name!r}", *self._damages]))
        file, tensor, start = self._tensors[name]
        if tensor["dtype"] not in _TENSOR_DTYPES:
            raise InvalidFeatures(f"{name}: found {tensor['dtype']}; expected {', '.join(_TENSOR_DTYPES)}")
        begin, end = tensor["data_offsets"]
        content = np.memmap(file, np.uint8, "r")[start + begin : start + end]
        rows: Rows = content.view(array_dtype(_TENSOR_DTYPES[tensor["dtype"]])).reshape(tensor["shape"])
        return rows


class MatFile(Arrays):
    """The matrices of a MATLAB file before 7.3."""

    kind = "a MATLAB file"

    def __init__(self, file: Path) -> None:
        super().__init__()
        with refusing(file, self.kind):
            self._content = loadmat(file)
        self.names = [name for name in self._content if not name.startswith("__")]

    def _open(self, name: str) -> Rows:
        matrix = self._content[name]
        if not isinstance(matrix, np.ndarray):
            raise InvalidFeatures(f"{name} is {type(matrix).__name__}; expected a matrix of real numbers")
        rows: Rows = matrix
        return rows


class Mat73File(Hdf5File):
    """The matrices of a MATLAB file of version 7.3: HDF5, transposed, as MATLAB keeps them by column."""

    kind = "a MATLAB 7.3 file"

    def _open(self, name: str) -> Rows:
        rows: Rows = np.asarray(super()._open(name)[()]).T
        return rows


def open_mat(file: Path) -> Arrays:
    """The matrices of a MATLAB file. Raises ImportFailed."""
    return Mat73File(file) if h5py.is_hdf5(file) else MatFile(file)


@contextmanager
def refusing(file: Path, kind: str) -> Iterator[None]:
    """Raises ImportFailed, naming the file, for what the libraries raise on one that is damaged."""
    try:
        yield
    except FAULTS as error:
        raise ImportFailed(f"{file} cannot be read as {kind}: {error}") from None
