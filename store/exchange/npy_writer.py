"""A feature set as a folder of .npy files, for programs that know nothing of the store."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from store.durable.commit import write_file
from store.exchange.source import plain
from store.feature_set import FeatureSet

MANIFEST = "manifest.json"
_LONGEST_NAME = 120


class NpyWriter:
    """Writes VIDEO.STREAM.npy for every video and stream, then manifest.json; a `Target`."""

    def __init__(self, features: FeatureSet, folder: Path) -> None:
        self._folder = folder
        self._names = file_names(features.videos())
        self._manifest = described(features)
        self._videos: dict[str, Any] = {}

    def add(self, video: str, streams: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """See `Target`."""
        files = {stream: f"{self._names[video]}.{stream}.npy" for stream in streams}
        for stream, array in streams.items():
            np.save(self._folder / files[stream], plain(array))
        self._videos[video] = {"files": files, "meta": meta}

    def finish(self) -> None:
        """See `Target`."""
        manifest = json.dumps({**self._manifest, "videos": self._videos}, indent=2)
        write_file(self._folder / MANIFEST, manifest.encode("utf-8"))

    def close(self) -> None:
        """See `Target`."""


def described(features: FeatureSet) -> dict[str, Any]:
    """What an export says about the feature set that it was made from."""
    return {
        "dataset": features.dataset,
        "encoder": features.encoder,
        "key": features.key,
        "specification": features.specification,
        "streams": {name: {"shape": s.shape, "dtype": s.dtype} for name, s in features.streams.items()},
    }


def encoded(video: str) -> str:
    """The id percent-encoded, so that it is one safe component of a path."""
    name = quote(video, safe=" ()[]+,=@")
    return "%2E" + name[1:] if name.startswith(".") else name


def file_names(videos: Iterable[str]) -> dict[str, str]:
    """Video → a file name without extension: safe, and different for different ids on every file system.

    Long names, and names that some file systems hold for equal, end with a digest of the id.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for video in videos:
        name = encoded(video)
        if len(name) > _LONGEST_NAME or name.casefold() in taken:
            digest = hashlib.sha256(video.encode("utf-8")).hexdigest()[:16]
            name = f"{name[:_LONGEST_NAME]}~{digest}"
        taken.add(name.casefold())
        names[video] = name
    return names
