"""HDF5 files: a dataset for each video, for each of its streams or chunks, or one for all videos."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h5py
from numpy.typing import NDArray

from store.errors import ImportFailed, InvalidFeatures
from store.exchange.digest import digest
from store.exchange.hdf5_writer import FILE, MARK
from store.exchange.ids import listed_ids, nearest
from store.exchange.matrix import Matrix, told
from store.exchange.named_arrays import NamedArrays, plan_by_names
from store.exchange.plan import Plan
from store.exchange.source import Options, Progress, Source, exported
from store.labels.errors import some

# What h5py raises on damaged files.
_FAULTS = (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeDecodeError)


@contextmanager
def open_hdf5(source: Path, options: Options, progress: Progress) -> Iterator[Source]:
    """The videos of an HDF5 file: see `Options`. Raises ImportFailed, DuplicateVideo."""
    file = source / FILE if source.is_dir() else source
    if not file.is_file():
        raise ImportFailed(f"{file}: no such file")
    try:
        content = h5py.File(file)
    except OSError as error:
        raise ImportFailed(f"{file} cannot be read as HDF5: {error}") from None
    with content:
        try:
            opened = (_matrix if options.key or options.ids else _arrays)(content, file, options, progress)
        except _FAULTS as error:
            raise ImportFailed(f"{file} is damaged: {error}") from None
        yield opened


def _matrix(content: h5py.File, file: Path, options: Options, progress: Progress) -> Matrix:
    options.only("one dataset of an HDF5 file", "key", "ids", "missing", "digest")
    if options.key is None or options.ids is None:
        raise ImportFailed(f"{file}: one dataset for all videos needs both --key (its name) and --ids")
    rows = content.get(options.key)
    if not isinstance(rows, h5py.Dataset):
        names = list(content)
        raise ImportFailed(
            f"{file} has no dataset {options.key!r}{nearest(options.key, names)}; it has {some(names, 40)}"
        )
    about = told("hdf5", rows, digest({"": file}, options.digest, progress), options.key)
    what = f"{file}: {options.key}"
    return Matrix(rows, what, listed_ids(options.ids), options.ids, options.missing, about)


def _arrays(content: h5py.File, file: Path, options: Options, progress: Progress) -> NamedArrays:
    options.only("an HDF5 file", "pattern", "join", "digest")
    if MARK in content.attrs and options.pattern is None:
        plan = _plan_of_export(content, file)
    else:
        names, passed_over = _dataset_names(content)
        if not names:
            raise ImportFailed(f"{file} holds no datasets of numbers")
        plan = plan_by_names(names, options, str(file))
        plan.passed_over |= passed_over
    return NamedArrays("hdf5", _Datasets(content), plan, {"": file}, options.digest, progress)


def _dataset_names(content: h5py.File) -> tuple[list[str], dict[str, str]]:
    names: list[str] = []
    passed_over: dict[str, str] = {}

    def see(name: str | bytes, item: Any) -> None:
        if isinstance(name, bytes):
            passed_over[repr(name)] = "its name is no UTF-8 text"
        elif isinstance(item, h5py.Dataset):
            if item.dtype.kind in "fiu":
                names.append(name)
            else:
                passed_over[name] = f"no numbers: {item.dtype}"

    content.visititems(see)
    return sorted(names), passed_over


def _plan_of_export(content: h5py.File, file: Path) -> Plan:
    try:
        plan = Plan({}, layout=exported(json.loads(content.attrs[MARK])))
        for name, group in content.items():
            video = unquote(name, errors="strict")
            plan.arrays[video] = {stream: [f"{name}/{stream}"] for stream in group}
            plan.metas[video] = dict(json.loads(group.attrs["meta"]))
    except (*_FAULTS, AttributeError, RecursionError) as error:
        raise ImportFailed(
            f"{file} is damaged, or was changed since it was exported: {error!r};"
            " with --pattern it is read as any HDF5 file"
        ) from None
    return plan


class _Datasets:
    def __init__(self, content: h5py.File) -> None:
        self._content = content

    def shape(self, name: str) -> tuple[tuple[int, ...], str]:
        item = self._dataset(name)
        try:
            return item.shape or (), item.dtype.name
        except _FAULTS as error:
            raise InvalidFeatures(f"{name} cannot be read: {error}") from None

    def read(self, name: str) -> NDArray[Any]:
        item = self._dataset(name)
        try:
            array: NDArray[Any] = item[()]
        except _FAULTS as error:
            raise InvalidFeatures(f"{name} cannot be read: {error}") from None
        return array

    def _dataset(self, name: str) -> h5py.Dataset:
        try:
            item = self._content[name]
        except _FAULTS as error:
            raise InvalidFeatures(f"{name} cannot be read: {error}") from None
        if not isinstance(item, h5py.Dataset):
            raise InvalidFeatures(f"{name} is a group; expected a dataset")
        return item
