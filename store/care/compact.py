"""Merges small parts into large ones; the small ones stay until the large one has been read back."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from store.backends.registry import backend
from store.care.verify import Damage, metadata_damages, stored_blocks, video_damages
from store.errors import DamagedPart, WriteFailed
from store.feature_set import FeatureSet
from store.format.marker import Marker
from store.write.writer import PART_BYTES, PART_VIDEOS, OpenPart, Provenance

SMALL_BYTES = PART_BYTES // 2
_CHUNK_BYTES = 256 << 20
"""Of the chunk files of merged, uncompressed parts: few files, as it is what people merge for."""

_Source = tuple[Marker, list[str]]
"""A part, and which of its videos are read."""


@dataclass
class Compacted:
    """What a compaction did, or would do."""

    merged: list[list[str]] = field(default_factory=list)
    """The parts that went into each new part."""
    videos: int = 0
    size_bytes: int = 0
    damages: list[Damage] = field(default_factory=list)
    """Videos that were left where they are, because they are not as they were written."""


def compact(
    features: FeatureSet,
    small_bytes: int = SMALL_BYTES,
    part_bytes: int = PART_BYTES,
    dry_run: bool = False,
) -> Compacted:
    """Copy the videos of parts with less than `small_bytes` to read into parts of up to `part_bytes`.

    The new part takes its place between the newest of those it replaces and whatever is committed later:
    what other writers do meanwhile supersedes it as it would have superseded them. The old parts are then
    garbage; see store.care.garbage. Raises WriteFailed, DamagedPart, OnlyInFolders.
    """
    done = Compacted()
    if not features.path.is_dir():
        return done
    for group in _groups(features, small_bytes, part_bytes):
        videos = [video for _, held in group for video in held]
        damages = [] if dry_run else [d for video in videos for d in video_damages(features, video)]
        damaged = {damage.video for damage in damages}
        whole = [video for video in videos if video not in damaged]
        done.damages += damages
        if not whole:
            continue
        sources = [marker for marker, _ in group]
        done.merged.append([marker.part for marker in sources])
        done.videos += len(whole)
        done.size_bytes += sum(_bytes(features, video) for video in whole)
        if not dry_run:
            merge(features, sources, whole)
    return done


def _groups(features: FeatureSet, small_bytes: int, part_bytes: int) -> list[list[_Source]]:
    """Parts of one backend that go into one new part each, oldest first; none that would only be copied."""
    found: list[list[_Source]] = []
    opened: dict[str, tuple[list[_Source], int, int]] = {}
    for marker, rows in features.index.places():
        held = [marker.videos[row] for row in rows]
        size = sum(_bytes(features, video) for video in held)
        if not held or size >= small_bytes:
            continue
        group, filled, videos = opened.get(marker.backend, ([], 0, 0))
        if not group or filled + size > part_bytes or videos + len(held) > PART_VIDEOS:
            group, filled, videos = [], 0, 0
            found.append(group)
        group.append((marker, held))
        opened[marker.backend] = (group, filled + size, videos + len(held))
    return [group for group in found if len(group) > 1]


def merge(features: FeatureSet, sources: list[Marker], videos: Iterable[str]) -> Marker:
    """Write and commit one part with these whole videos of the sources, and read it back.

    Raises WriteFailed, and DamagedPart where a video is not as it was written; the sources are untouched.
    """
    kind = backend(sources[0].backend)
    # The last chunk of an HDF5 dataset is as long as the others, so that large ones would waste the disk.
    chunk_bytes = _CHUNK_BYTES if kind.name == "zarr" else None
    copied = list(videos)
    try:
        part = OpenPart(features.files, kind, features.index.streams, chunk_bytes, _provenance(sources))
        try:
            for video in copied:
                _copy(features, video, part)
            after = max(source.sequence for source in sources) + 1
            marker = part.commit(lambda: features.next_place()._replace(sequence=after))
        except BaseException:
            part.discard()
            raise
    except OSError as error:
        raise WriteFailed(
            f"{features.path}: merging parts stopped: {error}. All videos are still in their old parts"
        ) from error
    features.take_up(marker)
    _read_back(features, marker, copied)
    return marker


def _provenance(sources: list[Marker]) -> Provenance:
    """What all of the sources were made with."""
    first = sources[0].provenance.items()
    return {key: value for key, value in first if all(s.provenance.get(key) == value for s in sources)}


def _copy(features: FeatureSet, video: str, part: OpenPart) -> None:
    streams = features.index.streams
    part.add(video, {name: stored_blocks(features, video, name) for name in streams}, features.meta(video))
    for name in streams:
        if part.marker.streams[name].crc32c[-1] != features.checksum(video, name):
            raise DamagedPart(
                f"{features.path}: {video!r}, stream {name!r} changed while it was copied: run verify"
            )


def _read_back(features: FeatureSet, marker: Marker, videos: list[str]) -> None:
    faults = metadata_damages(features, marker)
    for video in videos:
        if features.part_of(video) == marker.part:
            faults += video_damages(features, video)
    if not faults:
        return
    # The marker first, so that none is without its part.
    features.files.remove(marker.file)
    features.files.remove_all(marker.part)
    features.refresh()
    raise DamagedPart(
        f"{features.path / marker.part} does not read back as it was written: {faults[0].reason}. It was"
        " removed, all videos are still in their old parts; check the disk"
    )


def _bytes(features: FeatureSet, video: str) -> int:
    streams = features.index.streams
    return sum(features.length(video, name) * stream.item_bytes for name, stream in streams.items())
