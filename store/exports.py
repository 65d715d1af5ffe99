"""A feature set as a folder of .npy files, for programs that know nothing of the store."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

import numpy as np

from store.commit import write_file
from store.errors import ExportFailed
from store.feature_set import FeatureSet

MANIFEST = "manifest.json"
_LONGEST_NAME = 120


def export_npy(
    features: FeatureSet, folder: Path, progress: Callable[[list[str]], Iterable[str]] = iter
) -> int:
    """Write VIDEO.STREAM.npy for every video and stream, then manifest.json. Returns the number of videos.

    Ids are percent-encoded in file names; the manifest maps ids to files. The folder must be new or empty.
    `progress` wraps the list of videos, as tqdm does. Raises ExportFailed, DamagedPart.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportFailed(f"{folder} exists and is not an empty folder: choose another one")
    videos = features.videos()
    names = file_names(videos)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for video in progress(videos):
            for stream in features.streams:
                np.save(folder / f"{names[video]}.{stream}.npy", features.read(video, stream))
        write_file(folder / MANIFEST, json.dumps(_manifest(features, names), indent=2).encode("utf-8"))
    except OSError as error:
        raise ExportFailed(f"{folder}: the export stopped: {error}") from error
    return len(videos)


def file_names(videos: Iterable[str]) -> dict[str, str]:
    """Video → a file name without extension: safe, and different for different ids on every file system.

    Long names, and names that some file systems hold for equal, end with a digest of the id.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for video in videos:
        name = quote(video, safe=" ()[]+,=@")
        if name.startswith("."):
            name = "%2E" + name[1:]
        if len(name) > _LONGEST_NAME or name.casefold() in taken:
            digest = hashlib.sha256(video.encode("utf-8")).hexdigest()[:16]
            name = f"{name[:_LONGEST_NAME]}~{digest}"
        taken.add(name.casefold())
        names[video] = name
    return names


def _manifest(features: FeatureSet, names: dict[str, str]) -> dict[str, object]:
    streams = features.streams
    return {
        "dataset": features.dataset,
        "encoder": features.encoder,
        "key": features.key,
        "specification": features.specification,
        "streams": {name: {"shape": s.shape, "dtype": s.dtype} for name, s in streams.items()},
        "videos": {
            video: {
                "files": {stream: f"{name}.{stream}.npy" for stream in streams},
                "meta": features.meta(video),
            }
            for video, name in names.items()
        },
    }
