"""Takes a feature set out of the store, into files that other programs read."""

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import h5py
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from store.durable.commit import write_file
from store.errors import ExportFailed
from store.exchange.source import HDF5_EXPORT, INCOMPLETE, MANIFEST
from store.feature_set import FeatureSet

_SHARD_BYTES = 512 << 20
_SHARD_TENSORS = 5_000
"""Readers refuse headers above 100 MB."""
_LONGEST_NAME = 120


class Target(Protocol):
    """Writes the arrays of one format."""

    def add(self, video: str, stream: str, array: NDArray[Any]) -> tuple[str, str]:
        """Write a stream [n, *stream shape]. Returns the file's name and the array's within the source."""

    def close(self) -> None:
        """Write what is left, and close the files."""


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
        with closing(TARGETS[format](folder)) as target:
            entries = {video: _write(features, video, target) for video in progress(chosen)}
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


def _write(features: FeatureSet, video: str, target: Target) -> dict[str, Any]:
    places = {stream: target.add(video, stream, features.read(video, stream)) for stream in features.streams}
    return {
        "files": {stream: file for stream, (file, _) in places.items()},
        "names": {stream: name for stream, (_, name) in places.items()},
        "meta": features.meta(video),
    }


class NpyTarget:
    """VIDEO.STREAM.npy for every video and stream: names that are different on every file system.

    Long ones, and those that some file systems hold for equal, have a digest of the video's id.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[str] = set()

    def add(self, video: str, stream: str, array: NDArray[Any]) -> tuple[str, str]:
        """See `Target`."""
        stem = _encoded(video)
        name = f"{stem}.{stream}.npy"
        if len(stem) > _LONGEST_NAME or name.casefold() in self._taken:
            digest = hashlib.sha256(video.encode("utf-8")).hexdigest()[:16]
            name = f"{stem[:_LONGEST_NAME]}~{digest}.{stream}.npy"
        self._taken.add(name.casefold())
        np.save(self._folder / name, _plain(array))
        return name, name

    def close(self) -> None:
        """See `Target`."""


class Hdf5Target:
    """features.h5: a group for each video, its id percent-encoded, with a dataset for each stream."""

    def __init__(self, folder: Path) -> None:
        self._content = h5py.File(folder / HDF5_EXPORT, "w")

    def add(self, video: str, stream: str, array: NDArray[Any]) -> tuple[str, str]:
        """See `Target`."""
        name = f"{_encoded(video)}/{stream}"
        self._content[name] = _plain(array)
        return HDF5_EXPORT, name

    def close(self) -> None:
        """See `Target`."""
        self._content.close()


class SafetensorsTarget:
    """features-00001.safetensors, …, of bounded size, with keys VIDEO/STREAM.

    A shard is held in memory until it is written. A stream is never divided, and may be larger.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shard = 1
        self._pending: dict[str, NDArray[Any]] = {}
        self._pending_bytes = 0

    def add(self, video: str, stream: str, array: NDArray[Any]) -> tuple[str, str]:
        """See `Target`."""
        if self._pending_bytes + array.nbytes > _SHARD_BYTES or len(self._pending) >= _SHARD_TENSORS:
            self.close()
        self._pending[f"{video}/{stream}"] = array
        self._pending_bytes += array.nbytes
        return self._file, f"{video}/{stream}"

    def close(self) -> None:
        """See `Target`."""
        if self._pending:
            save_file(self._pending, self._folder / self._file)
            self._shard += 1
        self._pending, self._pending_bytes = {}, 0

    @property
    def _file(self) -> str:
        return f"features-{self._shard:05}.safetensors"


TARGETS: dict[str, Callable[[Path], Target]] = {
    "npy": NpyTarget,
    "hdf5": Hdf5Target,
    "safetensors": SafetensorsTarget,
}


def _encoded(video: str) -> str:
    """The id percent-encoded, so that it is one safe component of a path."""
    name = quote(video, safe=" ()[]+,=@")
    return "%2E" + name[1:] if name.startswith(".") else name


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """The array, for formats that have no bfloat16: as float32, which holds the same values."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
