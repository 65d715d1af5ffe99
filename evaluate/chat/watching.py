"""What a run's encoders see of video files, whole or in a stretch of time."""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from evaluate.chat.stretches import Stretch
from evaluate.errors import StretchError
from extract.encoders.base import Encoder
from extract.encoders.registry import build_encoder
from extract.errors import CorruptVideo
from extract.run.extractor import extract_features
from train.data.branches import Features, video_features
from train.data.items import step_seconds
from train.pretrained import TrainedModel

_REMEMBERED = 8


@dataclass(frozen=True)
class Watched:
    """A video and all that the encoders saw of it."""

    video: Path
    seconds: float
    features: Mapping[str, Mapping[str, torch.Tensor]]
    """Encoder → stream → [items, *stream shape]."""
    warnings: tuple[str, ...] = ()
    fps: float | None = None
    """Frames a second."""


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
        return self._known[digest]

    def _watched(self, video: Path) -> Watched:
        (outcome,) = extract_features([video], self._encoders, self._device)
        if isinstance(outcome, Exception):
            raise outcome
        features = {
            encoder: {name: torch.from_numpy(array) for name, array in streams.items()}
            for encoder, streams in outcome.features.items()
        }
        info = outcome.info
        return Watched(video, info.duration_seconds, features, info.warnings, info.fps)

    def medium(self, watched: Watched, stretch: Stretch | None = None) -> Features:
        """Branch → [K, tokens, features], of the items that begin within the stretch, one at least.

        Raises StretchError where the video has no such stretch, or an encoder sees it as a whole only.
        """
        settings = self._trained.settings
        branches = settings.pipeline.branches
        blocks: dict[str, torch.Tensor] = {}
        steps: dict[str, float | None] = {}
        starts: dict[str, int] = {}
        for name, branch in branches.items():
            if name in settings.dataset.without:
                continue
            block = watched.features[branch.encoder][branch.stream]
            start, stop = 0, len(block)
            if stretch is not None:
                if stop == 1 and watched.seconds >= 2:
                    raise StretchError(
                        f"{watched.video}: {branch.encoder} sees a video as a whole, not its seconds: ask"
                        " without a stretch of time"
                    )
                start, stop = items_within(stretch, stop, watched)
            blocks[name], starts[name] = block[start:stop], start
            steps[name] = step_seconds(self._specifications[branch.encoder], watched.fps)
        minimum = settings.dataset.minimum_chunks if stretch is None else 1
        return video_features(blocks, branches, steps, minimum, starts)


def items_within(stretch: Stretch, items: int, watched: Watched) -> tuple[int, int]:
    """The first item of a stretch and the one behind its last; items are spread evenly over the video.

    Raises StretchError.
    """
    begin, end = stretch.within(watched.seconds)
    if begin >= watched.seconds or end <= begin:
        raise StretchError(
            f"{watched.video} is {watched.seconds:.1f} s long: it has no stretch {stretch.shown()}"
        )
    # Whole seconds have an item each, however long what is left at the end.
    each = 1.0 if items == max(1, math.floor(watched.seconds + 0.05)) else watched.seconds / items
    start = min(int(begin / each + 1e-6), items - 1)
    return start, max(start + 1, min(items, math.ceil(end / each - 1e-6)))


def content_digest(video: Path) -> str:
    """Of the file's bytes. Raises CorruptVideo where it cannot be read."""
    try:
        with video.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CorruptVideo(f"{video}: it cannot be read: {error.strerror}") from error
