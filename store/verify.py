"""Compare what is on disk with the checksums that were taken when it was written."""

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.checks import checksum
from store.errors import DamagedPart

if TYPE_CHECKING:
    from store.feature_set import FeatureSet


@dataclass(frozen=True)
class Damage:
    """One thing that is not as it was written."""

    part: str
    """Name of the part, or of its marker."""
    video: str | None
    stream: str | None
    reason: str


def verify(
    features: "FeatureSet",
    sample: int | None = None,
    seed: int = 0,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> list[Damage]:
    """Compare the crc32c of all videos, or of a seeded sample of them; check every part's metadata.

    `progress` wraps the list of videos, as tqdm does.
    """
    index = features.index
    damages = [Damage(name, None, None, fault) for name, fault in sorted(index.damaged.items())]
    for marker in index.markers.values():
        if marker.backend == "zarr":
            damages += _zarr_metadata(features, marker.part)
    videos = features.videos()
    if sample is not None and sample < len(videos):
        videos = sorted(random.Random(seed).sample(videos, sample))
    for video in progress(videos):
        for stream in features.streams:
            reason = _video_fault(features, video, stream)
            if reason:
                damages.append(Damage(features.part_of(video), video, stream, reason))
    return damages


def _video_fault(features: "FeatureSet", video: str, stream: str) -> str | None:
    try:
        found = checksum(features.read(video, stream))
    except DamagedPart as error:
        return str(error)
    expected = features.checksum(video, stream)
    return None if found == expected else f"its crc32c is {found:08x}; {expected:08x} was written"


def _zarr_metadata(features: "FeatureSet", part: str) -> list[Damage]:
    """Whether the metadata that other Zarr tools go by says what the marker says."""
    marker = next(m for m in features.index.markers.values() if m.part == part)
    damages = []
    for stream, rows in marker.streams.items():
        file = features.path / part / stream / "zarr.json"
        try:
            shape = json.loads(file.read_bytes())["shape"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            damages.append(Damage(part, None, stream, f"{file} cannot be read: {error!r}"))
            continue
        if shape != [rows.total, *rows.shape]:
            expected = [rows.total, *rows.shape]
            damages.append(
                Damage(part, None, stream, f"{file} has the shape {shape}; {expected} was written")
            )
    return damages
