"""What a run's encoders see of video files, whole or in a stretch of time."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from config.schema import BranchSettings
from evaluate.errors import StretchError
from evaluate.watching.stretch import Stretch
from extract.encoders.base import Encoder, WholeVideoEncoder
from extract.encoders.registry import build_encoder
from extract.errors import CorruptVideo, UnreadableVideo
from extract.location import Location
from extract.run.extractor import VideoFeatures, features_as_ready
from train.data.branches import Features, video_features
from train.data.items import items_within, step_seconds
from train.pretrained import TrainedModel

_REMEMBERED = 8


@dataclass(frozen=True)
class Watched:
    """A video and all that the encoders saw of it."""

    video: Location
    seconds: float
    features: Mapping[str, Mapping[str, torch.Tensor]]
    """Encoder → stream → [items, *stream shape]."""
    warnings: tuple[str, ...] = ()
    fps: float | None = None
    """Frames a second."""

    def span(self, stretch: Stretch) -> tuple[float, float]:
        """Begin and end of the stretch in this video. Raises StretchError where it has none of it."""
        begin, end = stretch.within(self.seconds)
        if begin >= self.seconds or end <= begin:
            raise StretchError(
                f"{self.video} is {self.seconds:.1f} s long: it has no stretch {stretch.shown()}"
            )
        return begin, end


class Watcher:
    """Watches files by the encoders that a run was trained on; of the last few it knows what it saw.

    Raises RunError where an encoder gives other features than it did then.
    """

    def __init__(self, trained: TrainedModel) -> None:
        self._trained = trained
        self._device = str(trained.device)
        self._encoders: dict[str, Encoder] = {
            name: build_encoder(encoder, self._device) for name, encoder in trained.settings.encoders.items()
        }
        self._specifications = {name: encoder.specification() for name, encoder in self._encoders.items()}
        trained.check_features(self._specifications)
        self._known: OrderedDict[str, Watched] = OrderedDict()

    def watch(self, video: Path) -> Watched:
        """Decode and encode a file, unless one with the same bytes was among the last.

        Raises UnreadableVideo.
        """
        digest = content_digest(video)
        if digest not in self._known:
            self._known[digest] = self._watched(video)
        self._known.move_to_end(digest)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return replace(self._known[digest], video=video)

    def watch_all(
        self, videos: Sequence[Location], workers: int = 0
    ) -> Iterator[tuple[int, Watched | UnreadableVideo]]:
        """Each video's number with what was seen of it, or why nothing was; as they are ready.

        Nothing is remembered. `workers`: processes that decode; 0 decodes in this one.
        """
        for number, found in features_as_ready(videos, self._encoders, self._device, workers):
            if isinstance(found, UnreadableVideo):
                yield number, found
            else:
                yield number, _watched(videos[number], found)

    def _watched(self, video: Path) -> Watched:
        ((_, found),) = self.watch_all([video])
        if isinstance(found, UnreadableVideo):
            raise found
        return found

    def medium(self, watched: Watched, stretch: Stretch | None = None) -> Features:
        """Branch → [K, tokens, features], of the items that begin within the stretch, one at least.

        That is the one that a shorter stretch lies in, or all that an encoder gives of a video. Raises
        StretchError where the video has no such stretch, or the encoders see it as a whole only.
        """
        settings = self._trained.settings
        branches = settings.pipeline.branches
        used = {name: branch for name, branch in branches.items() if name not in settings.dataset.without}
        blocks = {name: watched.features[branch.encoder][branch.stream] for name, branch in used.items()}
        steps = {
            name: step_seconds(self._specifications[branch.encoder], watched.fps)
            for name, branch in used.items()
        }
        if stretch is None:
            return video_features(blocks, branches, steps, settings.dataset.minimum_chunks)
        begin, end = watched.span(stretch)
        items = {}
        for name, branch in used.items():
            step = steps[name] or self._usual_step(branch) or watched.seconds / len(blocks[name])
            items[name] = items_of(begin, end, step, len(blocks[name]), watched.seconds)
        if not any(items.values()):
            raise StretchError(
                f"{watched.video}: {', '.join(sorted({branch.encoder for branch in used.values()}))} sees a"
                " video as a whole, not its seconds: ask without a stretch of time"
            )
        parts = {
            name: blocks[name][found.start : found.stop] if found else blocks[name]
            for name, found in items.items()
        }
        return video_features(parts, branches, steps, starts={n: found.start for n, found in items.items()})

    def _usual_step(self, branch: BranchSettings) -> float | None:
        """About how long an item lasts, where the encoder alone says it."""
        encoder = self._encoders[branch.encoder]
        return 1 / encoder.items_per_second[branch.stream] if isinstance(encoder, WholeVideoEncoder) else None


def _watched(video: Location, found: VideoFeatures) -> Watched:
    features = {
        encoder: {name: torch.from_numpy(array) for name, array in streams.items()}
        for encoder, streams in found.features.items()
    }
    return Watched(video, found.info.duration_seconds, features, found.info.warnings, found.info.fps)


def items_of(begin: float, end: float, step: float, count: int, seconds: float) -> range:
    """Of a video's `count` items, `step` seconds each, those of a stretch; none where one is the whole video.

    They are those that begin within it, or else the one that it lies in.
    """
    if count == 1 and seconds >= 2 * step:
        return range(0)
    within = items_within(begin, None if end >= seconds else end, step, 1.0, count)
    last = max(within.start - 1, 0)
    return within or range(last, last + 1)


def content_digest(video: Path) -> str:
    """Of the file's bytes. Raises CorruptVideo where it cannot be read."""
    try:
        with video.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CorruptVideo(f"{video}: it cannot be read: {error.strerror}") from error
