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
REPLACED = "its file has been replaced"
OTHER_NUMBERS = "the encoder gives other numbers now"


@dataclass(frozen=True)
class Stored:
    """Of the videos that were asked for, those that a feature set has.

    ids: video → the id that its features are stored by. outdated: video → why its features no longer hold.
    """

    ids: dict[str, str]
    outdated: dict[str, str]


def stored_videos(features: FeatureSet, videos: Mapping[str, Location]) -> Stored:
    """What the feature set has of the videos (id → where).

    A video that is stored under another spelling of its id counts, as training joins them too, unless what
    was noted of its file shows that it is another video.
    """
    known = set(features.videos())
    ids = {video: video for video in videos if video in known}
    spellings = _other_spellings(videos, known, set(ids)) if known and len(ids) < len(videos) else {}
    generation = generation_of(features)

    def why_outdated(video: str) -> str:
        meta = features.meta(ids.get(video) or spellings[video])
        if meta.get("generation", 1) < generation:
            return OTHER_NUMBERS
        return REPLACED if replaced(meta, videos[video]) else ""

    with ThreadPoolExecutor(_CHECKS_AT_ONCE) as threads:
        reasons = dict(zip([*ids, *spellings], threads.map(why_outdated, [*ids, *spellings]), strict=True))
    same = {video: stored for video, stored in spellings.items() if reasons[video] != REPLACED}
    return Stored(ids | same, {v: why for v, why in reasons.items() if why and (v in ids or v in same)})


def _other_spellings(videos: Mapping[str, Location], known: set[str], taken: set[str]) -> dict[str, str]:
    """Video → stored id that means the same, for videos whose own id is not stored."""
    try:
        found = resolve(videos, sorted(known)).found
    except AmbiguousVideoError as error:
        logger.warning("stored features are joined by exact names only: %s", error)
        return {}
    return {video: stored for video, stored in found.items() if video not in taken and stored not in taken}
