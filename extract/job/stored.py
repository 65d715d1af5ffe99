"""What a feature set has of some videos already, under which ids, and what of it is outdated."""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from extract.location import Location, replaced
from extract.run.reference import generation_of
from store.feature_set import FeatureSet
from store.labels.errors import AmbiguousVideoError
from store.labels.resolve import resolve

logger = logging.getLogger(__name__)

_CHECKS_AT_ONCE = 16
_REPLACED = "its file has been replaced"
_OTHER_NUMBERS = "the encoder gives other numbers now"


@dataclass(frozen=True)
class Stored:
    """Of the videos that were asked for, those that a feature set has.

    ids: video → the id that its features are stored by. outdated: video → why its features no longer hold.
    """

    ids: dict[str, str]
    outdated: dict[str, str]


class StoredVideos:
    """What a feature set has of the videos (id → where) that a job is about.

    A video that is stored under another spelling of its id counts, as training joins them too, unless what
    was noted of its file shows that it is another video.
    """

    def __init__(self, features: FeatureSet, videos: Mapping[str, Location]) -> None:
        self._features = features
        self._generation = generation_of(features)
        self._spellings: dict[str, str] = {}
        if len(features) and not all(video in features for video in videos):
            self._spellings = _other_spellings(videos, features)

    def look_up(self, videos: Mapping[str, Location]) -> Stored:
        """What there is of some of the videos."""
        ids = {video: video for video in videos if video in self._features}
        ids |= {video: self._spellings[video] for video in videos if video in self._spellings}
        if not ids:
            return Stored({}, {})
        with ThreadPoolExecutor(_CHECKS_AT_ONCE) as threads:
            locations = [videos[video] for video in ids]
            reasons = dict(zip(ids, threads.map(self._why_outdated, ids.values(), locations), strict=True))
        others = {video for video, why in reasons.items() if why == _REPLACED and ids[video] != video}
        return Stored(
            {video: stored for video, stored in ids.items() if video not in others},
            {video: why for video, why in reasons.items() if why and video not in others},
        )

    def _why_outdated(self, stored: str, location: Location) -> str:
        meta = self._features.meta(stored)
        if meta.get("generation", 1) < self._generation:
            return _OTHER_NUMBERS
        return _REPLACED if replaced(meta, location) else ""


def _other_spellings(videos: Mapping[str, Location], features: FeatureSet) -> dict[str, str]:
    """Video → stored id that means the same, for videos whose own id is not stored."""
    try:
        found = resolve(videos, features.videos()).found
    except AmbiguousVideoError as error:
        logger.warning("stored features are joined by exact names only: %s", error)
        return {}
    return {v: stored for v, stored in found.items() if v not in features and stored not in videos}
