"""Features of video files without a store, for scoring one's own videos."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from extract.encoders.base import Encoder, Features
from extract.errors import UnreadableVideo
from extract.run.batching import DeviceThreads
from extract.run.encoding import Encoding
from extract.tasks import Refused, VideoTask
from extract.video.decode import VideoInfo
from extract.workers.pool import DecodeHere


@dataclass(frozen=True)
class VideoFeatures:
    """`features`: encoder → stream → array [K, *shape]. `info`: what decoding showed, its warnings too."""

    features: dict[str, Features]
    info: VideoInfo


def extract_features(
    paths: Sequence[Path], encoders: Mapping[str, Encoder], device: str = "cpu"
) -> Iterator[VideoFeatures | UnreadableVideo]:
    """For each path, in order: its features, or the error that tells why not.

    Files are decoded in this process, one after another. `device`: where the encoders are.
    """
    with closing(DeviceThreads(device)) as threads:
        encoding = Encoding(encoders, threads, Path(tempfile.gettempdir()))
        for path in paths:
            task = VideoTask(str(path), path, tuple(encoders))
            for result in encoding.run(DecodeHere(encoders), [task]):
                if isinstance(result, Refused):
                    yield UnreadableVideo(result.message)
                elif result is not None:
                    yield VideoFeatures(result.features.arrays(), result.info)
                    result.features.close()
