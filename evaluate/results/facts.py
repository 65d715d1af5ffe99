"""What is known of the tested videos beside their scores: size, rate, length, content, and their files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.errors import Problem
from config.schema import DatasetSettings
from extract.job.dataset import labelled_videos
from store.labels.files import Label

if TYPE_CHECKING:
    from train.data.reader import FeatureReader


@dataclass(frozen=True)
class VideoFacts:
    """Facts of one video; None where nobody noted them."""

    width: int | None = None
    height: int | None = None
    """In pixels, as shown."""
    fps: float | None = None
    seconds: float | None = None
    group: str | None = None
    """Content group, by the dataset's settings or the label's column `content`."""

    @property
    def lines(self) -> int | None:
        """The shorter side in pixels: 1080 of a 1080p video, however it is turned."""
        return None if self.width is None or self.height is None else min(self.width, self.height)


def video_facts(reader: "FeatureReader", labels: Sequence[Label]) -> dict[str, VideoFacts]:
    """Video → its facts, as its features' extraction and its label noted them.

    Features that were imported have no notes of their video; then only the group may be known.
    """
    return {label.video: _facts(_noted(reader, label.video), label) for label in labels}


def video_files(dataset: DatasetSettings) -> dict[str, Path]:
    """Video → its file, of those that are on this machine; none where the dataset's folder is not."""
    try:
        return labelled_videos(dataset).found
    except Problem:
        return {}


def _noted(reader: "FeatureReader", video: str) -> Mapping[str, Any]:
    metas = (features.meta(video) for features in reader.sets.values() if video in features)
    return next((meta for meta in metas if meta.get("width")), {})


def _facts(meta: Mapping[str, Any], label: Label) -> VideoFacts:
    return VideoFacts(
        meta.get("width"),
        meta.get("height"),
        meta.get("fps"),
        meta.get("duration_seconds"),
        label.group or label.extra.get("content"),
    )
