"""Which videos of a dataset there are to extract, and which labels have none."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from config.errors import Problem
from config.schema import DatasetSettings, PipelineSettings
from extract.errors import NoVideos
from extract.location import Location
from store.labels.dataset import labels_of
from store.labels.errors import VideoFolderError, some
from store.labels.files import written_names
from store.labels.folder import require_videos
from store.labels.resolve import IMAGE_EXTENSIONS, Coverage, resolve
from store.labels.shown import conversations_of, media_ids

Video = TypeVar("Video", bound=Location)


class InvalidChoice(Problem):
    """A choice of videos that cannot be made: there is no such shard, or no such video."""


def chosen_videos(
    videos: Mapping[str, Video], only: Sequence[str] = (), shard: str | None = None, limit: int | None = None
) -> dict[str, Video]:
    """Those of the videos (id → where) that have one of the ids, are in the shard, and are the first so many.

    Raises InvalidChoice, with the nearest ids where there is no such video.
    """
    for video in only:
        if video not in videos:
            near = difflib.get_close_matches(video, videos, n=3, cutoff=0.5)
            hint = (
                f"did you mean {' or '.join(near)}?" if near else f"ids are such as {next(iter(videos), '')}"
            )
            raise InvalidChoice(f"--only {video}: none of the {len(videos)} videos has this id; {hint}")
    chosen = {video: videos[video] for video in only or videos}
    if shard is not None:
        match = re.fullmatch(r"(\d+)/(\d+)", shard.strip())
        index, count = map(int, match.groups()) if match else (0, 0)
        if not index < count:
            raise InvalidChoice(
                f"--shard {shard}: expected I/N with 0 <= I < N: on four machines 0/4, 1/4, 2/4 and 3/4"
            )
        # By the sorted ids: the same videos always, whatever has been extracted already.
        chosen = {video: chosen[video] for video in sorted(chosen)[index::count]}
    return dict(list(chosen.items())[:limit])


def labelled_videos(dataset: DatasetSettings) -> Coverage[Path]:
    """Every label's video file, with the labels and files that found no partner; of conversations, each
    medium's that they show.

    Raises NoVideos, with directions, where the folder of videos is absent or holds none of the labelled
    ones, and what `labels_of`, `conversations_of` and `resolve` raise.
    """
    names = _names(dataset)
    if not dataset.videos.is_dir():
        raise NoVideos(_directions(dataset, f"{dataset.videos} is not there"))
    try:
        files = require_videos(dataset.videos)
    except VideoFolderError as error:
        raise NoVideos(_directions(dataset, str(error))) from None
    coverage = resolve(names, files, dataset.videos, names)
    if not coverage.found:
        example = f"no file is named like its {len(names)} labels, such as {some([next(iter(names))])}"
        if coverage.elsewhere:
            label, file = next(iter(coverage.elsewhere.items()))
            example = (
                f"folders differ from those of the labels: {some([label])} is not joined with {some([file])}"
            )
        raise NoVideos(_directions(dataset, f"in {dataset.videos}, {example}"))
    return coverage


def spared_pictures(
    dataset: DatasetSettings, pipeline: PipelineSettings, videos: Mapping[str, Location]
) -> dict[str, frozenset[str]]:
    """Picture → the encoders whose features of it no conversation reads, as those of motion."""
    spared = frozenset(pipeline.encoders) - pipeline.picture_encoders
    if not dataset.conversations or not spared:
        return {}
    return {
        video: spared
        for video, file in videos.items()
        if isinstance(file, Path) and file.suffix.lower() in IMAGE_EXTENSIONS
    }


def _names(dataset: DatasetSettings) -> dict[str, str]:
    """Id → name as it is written, of all that the labels name."""
    if not dataset.conversations:
        return written_names(labels_of(dataset))
    return {own: name for name, own in media_ids(conversations_of(dataset).values()).items()}


def _directions(dataset: DatasetSettings, found: str) -> str:
    return (
        f"the videos of {dataset.name} are missing: {found}\n"
        f"  get them from: {dataset.source}\n"
        f"  put them in {dataset.videos}/ (any subfolders), or --set datasets.{dataset.name}.videos=FOLDER\n"
        "  to see everything run without any of it: make demo"
    )
