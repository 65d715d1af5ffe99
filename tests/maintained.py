"""A feature set of three parts, and what befalls it."""

import os
import time
from pathlib import Path

from stored_videos import write

from store.feature_set import FeatureSet
from store.features import FeatureStore

VIDEOS = [f"v{number:02}" for number in range(12)]


def three_parts(root: Path, backend: str) -> FeatureSet:
    """Three parts of four videos."""
    store = FeatureStore(root, backend=backend)
    for first in (0, 4, 8):
        write(store.feature_set("demo", "random", {"seed": 0}), VIDEOS[first : first + 4])
    return store.feature_set("demo", "random", {"seed": 0})


def opened_anew(features: FeatureSet) -> FeatureSet:
    """The feature set, opened anew."""
    backend = features.index.places()[0][0].backend
    return FeatureStore(features.path.parents[1], backend).open(features.path)


def bytes_of(features: FeatureSet, video: str) -> Path:
    """The file that holds the first bytes of the video's spatial stream."""
    part = features.path / features.part_of(video)
    return part if part.is_file() else next(part.glob("spatial/c.0.*"))


def damage(features: FeatureSet, video: str) -> None:
    """Change one bit of a video's spatial stream."""
    file = bytes_of(features, video)
    written = features.read(video, "spatial").tobytes()
    data = bytearray(file.read_bytes())
    data[data.index(written)] ^= 1
    file.write_bytes(data)


def age(features: FeatureSet, hours: float) -> None:
    """Let its markers be so old."""
    past = time.time() - hours * 3600
    for marker in features.path.glob("parts-*/part-*.json"):
        os.utime(marker, (past, past))


def contents(folder: Path) -> dict[str, bytes]:
    """Path → content of every file."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
