"""Takes a feature set out of the store, into files that other programs read."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from store.durable.commit import write_file
from store.errors import ExportFailed
from store.exchange.source import HDF5_EXPORT, INCOMPLETE, MANIFEST
from store.feature_set import FeatureSet

Add = Callable[[str, str, NDArray[Any]], tuple[str, str]]
"""Writes a video's stream [n, *stream shape]; gives the file's name and the array's within the source."""

_SHARD_BYTES = 512 << 20
_SHARD_TENSORS = 5_000
"""Readers refuse headers above 100 MB."""
_LONGEST_NAME = 120


def export(
    features: FeatureSet,
    folder: Path,
    format: str = "npy",
    videos: Iterable[str] | None = None,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> int:
    """Write these videos (all, where not given) to a new or empty folder. Returns their number.

    Beside the arrays lies manifest.json: what the features are, where each stream of each video lies, and
    what was noted about the video. bfloat16 becomes float32, which holds the same values, where the format
    has none. One video (for safetensors, one shard) is in memory at a time. `progress` wraps the list of
    videos, as tqdm does. Raises ExportFailed, VideoNotStored, DamagedPart.
    """
    if format not in TARGETS:
        raise ExportFailed(f"no format {format!r}: expected {', '.join(TARGETS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportFailed(f"{folder} exists and is not an empty folder: choose another one")
    chosen = features.videos() if videos is None else sorted(set(videos))
    features.subset_hash(chosen)  # Every one of them must be there before anything is written.
    if not chosen:
        raise ExportFailed(f"{features.name} has no videos to export")
    mark = folder / INCOMPLETE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark.write_text("The export into this folder was stopped, or is still at work.\n", encoding="utf-8")
        with TARGETS[format](folder) as add:
            entries = {video: _write(features, video, add) for video in progress(chosen)}
        manifest = {
            "dataset": features.dataset,
            "encoder": features.encoder,
            "key": features.key,
            "specification": features.specification,
            "streams": {name: vars(shape) for name, shape in features.streams.items()},
            "videos": entries,
        }
        write_file(folder / MANIFEST, json.dumps(manifest, indent=2).encode("utf-8"))
        mark.unlink()
    except OSError as error:
        raise ExportFailed(f"{folder}: the export stopped: {error}") from error
    return len(chosen)


def _write(features: FeatureSet, video: str, add: Add) -> dict[str, Any]:
    places = {stream: add(video, stream, features.read(video, stream)) for stream in features.streams}
    return {
        "files": {stream: file for stream, (file, _) in places.items()},
        "names": {stream: name for stream, (_, name) in places.items()},
        "meta": features.meta(video),
    }


@contextmanager
def npy_target(folder: Path) -> Iterator[Add]:
    """VIDEO.STREAM.npy for every video and stream: names that are different on every file system.

    Long ones, and those that some file systems hold for equal, have a digest of the video's id.
    """
    taken: set[str] = set()

    def add(video: str, stream: str, array: NDArray[Any]) -> tuple[str, str]:
        stem = _encoded(video)
        name = f"{stem}.{stream}.npy"
        if len(stem) > _LONGEST_NAME or name.casefold() in taken:
            digest = hashlib.sha256(video.encode("utf-8")).hexdigest()[:16]
            name = f"{stem[:_LONGEST_NAME]}~{digest}.{stream}.npy"
        taken.add(name.casefold())
        np.save(folder / name, _plain(array))
        return name, name

    yield add


@contextmanager
def hdf5_target(folder: Path) -> Iterator[Add]:
    """features.h5: a group for each video, its id percent-encoded, with a dataset for each stream."""

    def add(video: str, stream: str, array: NDArray[Any]) -> tuple[str, str]:
        name = f"{_encoded(video)}/{stream}"
        content[name] = _plain(array)
        return HDF5_EXPORT, name

    with h5py.File(folder / HDF5_EXPORT, "w") as content:
        yield add


@contextmanager
def safetensors_target(folder: Path) -> Iterator[Add]:
    """features-00001.safetensors, …, of bounded size, with keys VIDEO/STREAM.

    A shard is held in memory until it is written. A stream is never divided, and may be larger.
    """
    shard: dict[str, NDArray[Any]] = {}
    number, held_bytes = 1, 0

    def file() -> str:
        return f"features-{number:05}.safetensors"

    def add(video: str, stream: str, array: NDArray[Any]) -> tuple[str, str]:
        nonlocal number, held_bytes
        if shard and (held_bytes + array.nbytes > _SHARD_BYTES or len(shard) >= _SHARD_TENSORS):
            save_file(shard, folder / file())
            shard.clear()
            number, held_bytes = number + 1, 0
        shard[f"{video}/{stream}"] = array
        held_bytes += array.nbytes
        return file(), f"{video}/{stream}"

    yield add
    save_file(shard, folder / file())


TARGETS: dict[str, Callable[[Path], AbstractContextManager[Add]]] = {
    "npy": npy_target,
    "hdf5": hdf5_target,
    "safetensors": safetensors_target,
}


def _encoded(video: str) -> str:
    """The id percent-encoded, so that it is one safe component of a path."""
    name = quote(video, safe=" ()[]+,=@")
    return "%2E" + name[1:] if name.startswith(".") else name


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """The array, for formats that have no bfloat16: as float32, which holds the same values."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
