"""safetensors files: a tensor for each video, for each of its streams or chunks; one file, or shards."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from store.errors import ImportFailed, InvalidFeatures
from store.exchange.named_arrays import NamedArrays, plan_by_names
from store.exchange.plan import Plan
from store.exchange.safetensors_writer import INDEX_SUFFIX, MARK
from store.exchange.source import Options, Progress, exported
from store.format.dtypes import array_dtype
from store.labels.errors import some

_DTYPES = {"F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16"}
_INDEX_FAULTS = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


@contextmanager
def open_safetensors(source: Path, options: Options, progress: Progress) -> Iterator[NamedArrays]:
    """The videos of a file, or of the shards in a folder or an index. Raises ImportFailed."""
    options.only("safetensors", "pattern", "join", "digest")
    index = _index_of(source)
    if index is not None:
        folder, content = index.parent, _read_index(index)
        files = {name: folder / file for name, file in content["weight_map"].items()}
    else:
        folder, content = (source if source.is_dir() else source.parent), {}
        files = _tensors_of(sorted(source.glob("*.safetensors")) if source.is_dir() else [source], source)
    description = content.get("metadata", {}).get(MARK)
    if description is not None and options.pattern is None:
        plan = _plan_of_export(description, list(files), source)
    else:
        plan = plan_by_names(sorted(files), options, str(source))
    shards = {path.relative_to(folder).as_posix(): path for path in files.values()}
    if index is not None:
        shards[index.name] = index
    elif len(shards) == 1:
        # What a single file is called says nothing about the features.
        shards = {"": next(iter(shards.values()))}
    yield NamedArrays("safetensors", _Tensors(files), plan, shards, options.digest, progress)


@dataclass(frozen=True)
class _Tensor:
    dtype: str
    shape: tuple[int, ...]
    offset: int
    """In the file."""


def _header(file: Path) -> dict[str, _Tensor]:
    """Name → tensor. Raises InvalidFeatures where the file is damaged, by the library's own checks."""
    try:
        with safe_open(file, "numpy"):
            pass
        with file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            content = json.loads(stream.read(size))
        content.pop("__metadata__", None)
        return {
            name: _Tensor(
                _DTYPES.get(tensor["dtype"], tensor["dtype"]),
                tuple(tensor["shape"]),
                8 + size + tensor["data_offsets"][0],
            )
            for name, tensor in content.items()
        }
    except (SafetensorError, *_INDEX_FAULTS) as error:
        raise InvalidFeatures(f"{file} cannot be read as safetensors: {error}") from None


class _Tensors:
    """Reads by position: the library's numpy reader has no bfloat16."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files
        self._headers: dict[Path, dict[str, _Tensor] | InvalidFeatures] = {}

    def shape(self, name: str) -> tuple[tuple[int, ...], str]:
        tensor = self._tensor(name)
        return tensor.shape, tensor.dtype

    def read(self, name: str) -> NDArray[Any]:
        tensor = self._tensor(name)
        count = int(np.prod(tensor.shape, dtype=np.int64))
        dtype = array_dtype(tensor.dtype)
        try:
            flat = np.fromfile(self._files[name], dtype, count, offset=tensor.offset)
        except OSError as error:
            raise InvalidFeatures(f"{name} cannot be read: {error}") from None
        if len(flat) < count:
            raise InvalidFeatures(f"{name} cannot be read: {self._files[name]} has become shorter")
        return flat.reshape(tensor.shape)

    def _tensor(self, name: str) -> _Tensor:
        file = self._files[name]
        if file not in self._headers:
            try:
                self._headers[file] = _header(file)
            except InvalidFeatures as error:
                self._headers[file] = error
        header = self._headers[file]
        if isinstance(header, InvalidFeatures):
            raise InvalidFeatures(str(header))
        if name not in header:
            raise InvalidFeatures(f"{file} has no tensor {name!r}, although the index says so")
        return header[name]


def _index_of(source: Path) -> Path | None:
    if not source.exists():
        raise ImportFailed(f"{source}: no such file or folder")
    if not source.is_dir():
        return source if source.name.endswith(INDEX_SUFFIX) else None
    found = sorted(source.glob(f"*{INDEX_SUFFIX}"))
    if len(found) > 1:
        names = some([path.name for path in found])
        raise ImportFailed(f"{source} holds several indices, {names}: name the one to import")
    return found[0] if found else None


def _read_index(index: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(index.read_bytes())
        for file in content["weight_map"].values():
            if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
                raise ValueError(f"{file!r} is not in this folder")
        content.setdefault("metadata", {}).get(MARK)
    except _INDEX_FAULTS as error:
        raise ImportFailed(f"{index} is not an index of safetensors files: {error!r}") from None
    return content


def _tensors_of(files: list[Path], source: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in files:
        try:
            names = _header(file)
        except InvalidFeatures as error:
            raise ImportFailed(str(error)) from None
        double = next((name for name in names if name in found), None)
        if double is not None:
            raise ImportFailed(f"both {found[double]} and {file} have a tensor {double!r}")
        found.update(dict.fromkeys(names, file))
    if not found:
        raise ImportFailed(f"{source} holds no tensors")
    return found


def _plan_of_export(description: dict[str, Any], names: list[str], source: Path) -> Plan:
    try:
        plan = Plan({}, layout=exported(description))
        for name in names:
            video, _, stream = name.rpartition("/")
            plan.arrays.setdefault(video, {})[stream] = [name]
        plan.metas = {video: dict(description["meta"].get(video, {})) for video in plan.arrays}
    except _INDEX_FAULTS as error:
        raise ImportFailed(f"{source} was changed since it was exported: {error!r}") from None
    return plan
