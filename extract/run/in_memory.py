"""Features of video files without a store, for scoring one's own videos."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from extract.encoders.base import Encoder, Features
from extract.errors import UnreadableVideo
from extract.run.batching import DeviceThreads
from extract.run.encoding import Encoding
from extract.tasks import Refused, VideoTask
from extract.workers.pool import DecodeHere


def extract_features(
    paths: Sequence[Path], encoders: Mapping[str, Encoder]
) -> Iterator[dict[str, Features] | UnreadableVideo]:
    """For each path, in order: encoder → stream → array [K, *shape], or the error that tells why not.

    Files are decoded in this process, one after another.
    """
    with closing(DeviceThreads("cpu")) as threads:
        encoding = Encoding(encoders, threads, Path(tempfile.gettempdir()))
        for path in paths:
            task = VideoTask(str(path), path, tuple(encoders))
            for result in encoding.run(DecodeHere(encoders), [task]):
                if isinstance(result, Refused):
                    yield UnreadableVideo(result.message)
                elif result is not None:
                    yield result.features.arrays()
                    result.features.close()
