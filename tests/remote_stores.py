"""Stores in object storage that tests write to, and a network that fails."""

from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem
from stored_videos import SPECIFICATION

from store.features import FeatureSet, FeatureStore
from store.remote.storage import Remote

VIDEOS = [f"batch/{number:03}.mp4" for number in range(8)]


class FlakyFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """fsspec's memory, on a network that fails when `requests_left` have been answered."""

    protocol = "flaky"
    requests_left: int | None = None

    @classmethod
    def _request(cls) -> None:
        if cls.requests_left is not None:
            if cls.requests_left == 0:
                raise ConnectionResetError("the network has gone")
            cls.requests_left -= 1

    def pipe_file(self, path: str, value: bytes, **options: Any) -> None:
        self._request()
        super().pipe_file(path, value, **options)

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        self._request()
        super().put_file(lpath, rpath, **options)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        self._request()
        content: bytes = super().cat_file(path, start, end, **options)
        return content


fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)


def features_at(url: str | Path, backend: str = "zarr") -> FeatureSet:
    return FeatureStore(url, backend).feature_set("demo", "random", SPECIFICATION)


def objects(url: str) -> dict[str, int]:
    return Remote(url).tree("")
