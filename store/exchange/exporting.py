"""Takes a feature set out of the store, into files that other programs read."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from store.errors import ExportFailed
from store.exchange.hdf5_writer import Hdf5Writer
from store.exchange.npy_writer import NpyWriter
from store.exchange.safetensors_writer import SafetensorsWriter
from store.exchange.source import INCOMPLETE
from store.feature_set import FeatureSet


class Target(Protocol):
    """Writes one format, video by video."""

    def add(self, video: str, streams: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Write a video: stream → [n, *stream shape]."""

    def finish(self) -> None:
        """Write what says which videos there are, last of all."""

    def close(self) -> None:
        """Let go of open files; what was not finished stays incomplete."""


TARGETS: dict[str, Callable[[FeatureSet, Path], Target]] = {
    "npy": NpyWriter,
    "hdf5": Hdf5Writer,
    "safetensors": SafetensorsWriter,
}


def export(
    features: FeatureSet,
    folder: Path,
    format: str = "npy",
    videos: Iterable[str] | None = None,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> int:
    """Write these videos (all, where not given) to a new or empty folder. Returns their number.

    bfloat16 becomes float32, which holds the same values, where the format has none. One video (for
    safetensors, one shard) is in memory at a time. `progress` wraps the list of videos, as tqdm does.
    Raises ExportFailed, VideoNotStored, DamagedPart.
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
        with closing(TARGETS[format](features, folder)) as target:
            for video in progress(chosen):
                streams = {stream: features.read(video, stream) for stream in features.streams}
                target.add(video, streams, features.meta(video))
            target.finish()
        mark.unlink()
    except OSError as error:
        raise ExportFailed(f"{folder}: the export stopped: {error}") from error
    return len(chosen)
