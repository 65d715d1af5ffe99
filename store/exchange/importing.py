"""Features that were made elsewhere: the format that they have, and the way into the store."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import h5py

from config.errors import nearest, refusing
from store.errors import ImportFailed, InvalidFeatures
from store.exchange.arrays import Arrays, hdf5_file, mat_file, npy_files, safetensors_files
from store.exchange.matrix import listed_ids, matrix_source
from store.exchange.named_arrays import named_source
from store.exchange.plan import plan_of_export, plan_of_names
from store.exchange.source import (
    HDF5_EXPORT,
    INCOMPLETE,
    MANIFEST,
    Fault,
    ImportFormat,
    Options,
    Progress,
    Source,
    digest,
    file_sha256,
    quiet,
)
from store.feature_set import FeatureSet
from store.features import FeatureStore
from store.labels.errors import some

FORMATS = get_args(ImportFormat)[1:]
_SUFFIXES = {".mat": "mat", ".npy": "npy", ".safetensors": "safetensors"}
_SUFFIXES |= dict.fromkeys([".h5", ".hdf5", ".hdf", ".he5"], "hdf5")
_SHOWN = 3


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    features: FeatureSet
    videos: int
    """Videos of the source, those in quarantine included."""
    new: int
    """Of them, not imported before."""
    quarantined: dict[str, Fault]
    """Video → why it gave no features."""
    imputed: dict[str, list[int]]
    """Video → columns (from 0) whose missing values were replaced by the column's median."""
    passed_over: dict[str, str]
    """What else the source holds: its name → why it is no video's."""


@contextmanager
def open_source(
    path: Path, options: Options, format: str = "auto", progress: Progress = quiet
) -> Iterator[Source]:
    """Open features that were made elsewhere; `with` closes them.

    Raises ImportFailed for what is not of that format (`auto`: of any), and DuplicateVideo.
    """
    if (path / INCOMPLETE).is_file():
        raise ImportFailed(f"{path} is an export that was stopped: delete it, and export again")
    if not path.exists():
        raise ImportFailed(f"{path}: no such file or folder")
    name = _detected(path) if format == "auto" else format
    if name not in FORMATS:
        raise ImportFailed(f"no format {format!r}: expected auto, {', '.join(FORMATS)}")
    if (path / MANIFEST).is_file() and options.pattern is None:
        options.only("an export", "digest")
        plan, files = plan_of_export(path / MANIFEST)
        digested = {file.name: file for file in [*files.values(), path / MANIFEST]}
        with _arrays(name, files) as arrays:
            yield named_source(name, arrays, plan, digest(digested, options.digest, progress), progress)
        return
    files = _files(name, path)
    one_matrix = name in ("mat", "npy") or (name != "npy-folder" and (options.key or options.ids))
    with _arrays(name, files) as arrays:
        put_together = _matrix if one_matrix else _named
        yield put_together(name, path, arrays, files, options, progress)


def import_features(
    store: FeatureStore,
    dataset: str,
    encoder: str,
    source: Source,
    strict: bool = False,
    progress: Progress = quiet,
) -> Imported:
    """Import every video of a source, one in memory at a time. The same import twice changes nothing.

    A video that cannot be used is put in quarantine, with the reason, and the others are imported;
    `strict` stops at the first instead: before anything is written, unless reading it shows the fault. Raises
    ImportFailed, also where no video at all can be used.
    """
    features = store.feature_set(dataset, encoder, source.specification)
    faults = dict(source.faults)
    _refuse(faults, strict)
    new = [video for video in source.videos if video not in features]
    stored = 0
    with features.writer() as writer:
        for video in progress(new, "import"):
            try:
                writer.add(video, source.read(video), source.metas.get(video, {}))
                stored += 1
            except InvalidFeatures as error:
                faults[video] = Fault("invalid_features", str(error))
                _refuse(faults, strict)
    count = len(source.videos) + len(source.faults)
    if len(faults) == count:
        raise ImportFailed(f"none of the {count:,} videos can be used: {_first(faults)}")
    known = {entry.video: entry.reason for entry in features.quarantine.entries()}
    for video, fault in faults.items():
        if known.get(video) != fault.reason:
            features.quarantine.add(video, fault.reason, fault.kind)
    features.quarantine.remove(video for video in source.videos if video in known and video not in faults)
    imputed = {video: columns for video, columns in source.imputed.items() if video not in faults}
    return Imported(features, count, stored, faults, imputed, dict(source.passed_over))


def _detected(path: Path) -> str:
    if path.is_dir():
        if any(path.glob("*.safetensors")):
            return "safetensors"
        return "hdf5" if (path / HDF5_EXPORT).is_file() else "npy-folder"
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES and not h5py.is_hdf5(path):
        raise ImportFailed(
            f"{path}: its name tells no format: choose one with --format, {', '.join(FORMATS)}"
        )
    return _SUFFIXES.get(suffix, "hdf5")


def _files(format: str, path: Path) -> dict[str, Path]:
    """The source's files by their names within it; a single one has none, as its name says nothing."""
    if format not in ("hdf5", "safetensors") and path.is_dir() != (format == "npy-folder"):
        what = "a folder" if path.is_dir() else "a file"
        raise ImportFailed(f"{path} is {what}: --format {format} is not for such a source")
    if not path.is_dir():
        return {"": path}
    if format == "hdf5":
        return {"": path / HDF5_EXPORT}
    # Hidden files are no features: macOS keeps `._0.npy` beside `0.npy`.
    found = sorted(path.glob("*.safetensors") if format == "safetensors" else path.rglob("[!.]*.npy"))
    if format == "safetensors" and len(found) == 1:
        return {"": found[0]}
    return {file.relative_to(path).as_posix(): file for file in found if file.is_file()}


def _arrays(format: str, files: Mapping[str, Path]) -> AbstractContextManager[Arrays]:
    if format in ("npy", "npy-folder"):
        return nullcontext(npy_files(files))
    if format == "safetensors":
        return nullcontext(safetensors_files(sorted(set(files.values()))))
    return (mat_file if format == "mat" else hdf5_file)(next(iter(files.values())))


def _named(
    format: str, path: Path, arrays: Arrays, files: Mapping[str, Path], options: Options, progress: Progress
) -> Source:
    what, suffix = ("a folder of .npy files", ".npy") if format == "npy-folder" else ("named arrays", "")
    options.only(what, "pattern", "join", "digest")
    if not arrays.names:
        raise ImportFailed(f"{path} holds no arrays of numbers ({arrays.kind}), and no {MANIFEST}")
    plan = plan_of_names(arrays.names, options, str(path), suffix)
    used = {name: file for name, file in files.items() if name not in plan.passed_over}
    plan.passed_over |= arrays.passed_over
    return named_source(format, arrays, plan, digest(used, options.digest, progress), progress)


def _matrix(
    format: str, path: Path, arrays: Arrays, files: Mapping[str, Path], options: Options, progress: Progress
) -> Source:
    takes = {"mat": ("key", "ids", "missing"), "npy": ("ids", "missing", "digest")}
    options.only("one matrix of all videos", *takes.get(format, ("key", "ids", "missing", "digest")))
    name, what = ("", str(path)) if format == "npy" else (options.key, f"{path}: {options.key}")
    if name is None or options.ids is None:
        needed = "--ids" if format == "npy" else "both --key (its name) and --ids"
        raise ImportFailed(f"{path}: one matrix of all videos needs {needed} (its videos, a row each)")
    if name not in arrays.names:
        known = some(arrays.names, 40)
        raise ImportFailed(f"{path} has no {name!r}{nearest(name, arrays.names)}; it has {known}")
    try:
        rows = arrays.look(name)
    except InvalidFeatures as error:
        raise ImportFailed(f"{path}: {str(error).strip()}") from None
    videos = listed_ids(options.ids)
    about: dict[str, Any]
    if format == "mat":
        if len(rows.shape) != 2 or rows.dtype.kind not in "fiu":
            found = f"{what} is {list(rows.shape)} {rows.dtype}"
            raise ImportFailed(f"{found}; expected a matrix of real numbers, one row a video")
        about = {"file_sha256": file_sha256(path), "key": name, "dimensions": rows.shape[1]}
    else:
        layout = {"matrix": options.key, "dtype": rows.dtype.name, "shape": list(rows.shape[1:])}
        about = {"format": format, "layout": layout, "digest": digest(files, options.digest, progress)}
    with refusing(ImportFailed, f"{path} cannot be read as {arrays.kind}"):
        return matrix_source(rows, what, videos, options.ids, options.missing, about)


def _refuse(faults: Mapping[str, Fault], strict: bool) -> None:
    if strict and faults:
        raise ImportFailed(f"{len(faults):,} videos cannot be used, and --strict was asked: {_first(faults)}")


def _first(faults: Mapping[str, Fault]) -> str:
    lines = [f"{video}: {fault.reason}" for video, fault in list(faults.items())[:_SHOWN]]
    return "".join(f"\n  {line}" for line in [*lines, *(["…"] if len(faults) > _SHOWN else [])])
