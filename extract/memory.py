"""Features of video files without a store, for scoring one's own videos."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from extract.encoders.base import Encoder
from extract.encoding import EncodedVideo, encode_videos
from extract.errors import UnreadableVideo
from extract.worker import Features, VideoTask


def extract_features(
    paths: Sequence[Path], encoders: Mapping[str, Encoder]
) -> Iterator[Features | UnreadableVideo]:
    """For each path, in order: encoder → stream → array [K, *shape], or the error that tells why not.

    Files are decoded in this process, one after another.
    """
    for path in paths:
        task = VideoTask(str(path), path, tuple(encoders))
        for result in encode_videos([task], encoders):
            if isinstance(result, EncodedVideo):
                yield result.features
            else:
                yield UnreadableVideo(result.message)
