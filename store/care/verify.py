"""Compare what is on disk with the checksums that were taken when it was written."""

import errno
import os
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from numpy.typing import NDArray

from store.ahead import read_ahead
from store.backends.registry import backend
from store.errors import DamagedPart
from store.feature_set import FeatureSet
from store.format.marker import Marker
from store.write.checks import checksum, mismatch

_BLOCK_BYTES = 16 << 20
_AHEAD = 512
_GONE = {errno.ENOENT, errno.ENOTDIR}


@dataclass(frozen=True)
class Damage:
    """One thing that is not as it was written."""

    part: str
    """Name of the part, or of its marker."""
    video: str | None
    stream: str | None
    reason: str
    lost: bool = True
    """False: the operating system would not let it be read, so that it may be whole after all."""


def verify(
    features: FeatureSet,
    sample: int | None = None,
    seed: int = 0,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> list[Damage]:
    """Compare the crc32c of all videos, or of a seeded sample of them; check every part's metadata.

    Threads read, in the order in which the videos lie on the disk. `progress` wraps the list of videos, as
    tqdm does.
    """
    index = features.index
    damages = [Damage(name, None, None, fault) for name, fault in sorted(index.damaged.items())]
    videos = []
    for marker, rows in index.places():
        # What later parts have taken over is not read any more: it only waits to be removed.
        if rows:
            damages += metadata_damages(features, marker)
            videos += [marker.videos[row] for row in rows]
    if sample is not None and sample < len(videos):
        chosen = set(random.Random(seed).sample(sorted(videos), sample))
        videos = [video for video in videos if video in chosen]
    threads = min(32, 2 * (os.cpu_count() or 1))
    checked = read_ahead(partial(video_damages, features), videos, threads, ahead=_AHEAD)
    for _, found in zip(progress(videos), checked, strict=True):
        damages += found
    return damages


def metadata_damages(features: FeatureSet, marker: Marker) -> list[Damage]:
    """What other tools would misread in a part."""
    with features.files.descriptions(marker) as folder:
        faults = backend(marker.backend).check(folder / marker.part, marker)
    return [
        Damage(marker.part, None, fault.stream, fault.reason.replace(str(folder), features.location))
        for fault in faults
    ]


def video_damages(features: FeatureSet, video: str) -> list[Damage]:
    """Streams of the video whose bytes are not those that were written."""
    part, damages = features.part_of(video), []
    for stream in features.index.streams:
        found, expected = 0, features.checksum(video, stream)
        try:
            for block in stored_blocks(features, video, stream):
                found = checksum(block, found)
        except DamagedPart as error:
            cause = error.__context__
            lost = not isinstance(cause, OSError) or cause.errno in _GONE
            damages.append(Damage(part, video, stream, str(error), lost))
            continue
        if found != expected:
            damages.append(Damage(part, video, stream, mismatch(features.location, part, found, expected)))
    return damages


def stored_blocks(features: FeatureSet, video: str, stream: str) -> Iterator[NDArray[Any]]:
    """A video's stream as its part holds it, in blocks along the first dimension: long ones exceed memory."""
    items = max(1, _BLOCK_BYTES // features.index.streams[stream].item_bytes)
    length = features.length(video, stream)
    for first in range(0, length, items):
        yield features.read_stored(video, stream, first, min(first + items, length))
