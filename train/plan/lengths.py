"""Videos whose features are not stored yet: what they will look like, from settings and file headers."""

import logging
import math
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.schema import DatasetSettings, EncoderSettings, RunSettings
from store.errors import FeaturesNotFound
from store.features import FeatureStore, StreamShape
from store.labels.files import written_names
from store.labels.folder import find_videos
from store.labels.resolve import resolve
from store.labels.shown import conversations_of, media_ids
from train.data.dialogues import samples_of
from train.data.reader import FeatureReader
from train.data.samples import DatasetSamples, Split, require_answers
from train.errors import FeaturesMissingError, TrainError
from train.job import run_samples

log = logging.getLogger(__name__)

USUAL_SECONDS = 8.0
"""LSVQ's and KoNViD-1k's videos have 5 to 12 s, most of them 8."""
_FRAMES_PER_SECOND = 30
_SAMPLE = 100
_SEED = 0


@dataclass(frozen=True)
class PlannedSamples:
    """Every dataset's samples, and how it was found out how long they are."""

    samples: dict[str, DatasetSamples]
    lengths: str


class PlannedReader(FeatureReader):
    """Shapes and lengths of features as an extraction would store them; there is nothing to read."""

    def __init__(self, settings: RunSettings, dataset: DatasetSettings, seconds: Mapping[str, float]) -> None:
        """`seconds`: of each video. Raises TrainError where an encoder's settings do not give its shapes."""
        self.sets = {}
        self.branches = settings.pipeline.branches
        self._minimum_chunks = dataset.minimum_chunks
        self._without = dataset.without
        self._encoders = settings.encoders
        self._seconds = seconds
        for branch in self.branches.values():
            self.item_shape(branch.encoder, branch.stream)

    def videos(self, _branches: Collection[str] | None = None) -> set[str]:
        """Those whose length is known."""
        return set(self._seconds)

    def item_shape(self, encoder: str, stream: str) -> tuple[int, ...]:
        """See FeatureReader; the encoder's own `grid` pools maps."""
        settings = self._encoders[encoder]
        shape = settings.shapes.get(stream)
        if shape is None:
            known = ", ".join(settings.shapes) or "none"
            raise TrainError(
                f"nothing of {encoder} is stored, and encoders.{encoder}.shapes does not say what an item of"
                f" its stream {stream!r} looks like (it has {known}): extract one video (make extract"
                " ARGS='--limit 1'), or --set encoders."
                f"{encoder}.shapes.{stream}=[TOKENS,WIDTH]"
            )
        pooled = settings.grid is not None and len(settings.grid) == len(shape) - 1
        return (*(settings.grid or ()), shape[-1]) if pooled else shape

    def item_bytes(self, encoder: str, stream: str) -> int:
        """See FeatureReader."""
        shape, dtype = self.item_shape(encoder, stream), self._encoders[encoder].dtype
        scales = 4 * math.prod(shape[:-1]) if dtype == "int8" else 0
        return StreamShape(shape, dtype).item_bytes + scales

    def length(self, video: str, encoder: str, stream: str) -> int:
        """See FeatureReader: chunks of the video, or, of SlowFast's motion, frames."""
        settings = self._encoders[encoder]
        return planned_items(self._seconds[video], settings, stream)


def planned_items(seconds: float, encoder: EncoderSettings, stream: str) -> int:
    """How many items an encoder gives for a video: one a chunk, one a frame, or, if imported, one."""
    if encoder.kind == "external":
        return 1
    if encoder.kind == "slowfast" and stream == "motion":
        return max(1, round(seconds * _FRAMES_PER_SECOND))
    chunks = seconds * (encoder.chunks_per_second or 1.0)
    return max(1, math.ceil(chunks) if encoder.tail == "keep" else math.floor(chunks))


def planned_samples(
    settings: RunSettings, store: FeatureStore, splits: Mapping[str, Split], seconds: float | None
) -> PlannedSamples:
    """The samples that a run would have.

    With features in the store these are the run's own. Without, or where `seconds` is given, all labelled
    videos count, as if extracted: with the lengths that the headers of their files declare, or else `seconds`
    or USUAL_SECONDS. Raises TrainError.
    """
    if seconds is None:
        try:
            return PlannedSamples(run_samples(settings, store, splits), "from the feature store")
        except (FeaturesMissingError, FeaturesNotFound):
            pass
    samples, said = {}, {}
    for dataset in settings.datasets:
        reader, said[dataset.name] = planned_reader(settings, dataset, splits.get(dataset.name, {}), seconds)
        samples[dataset.name] = samples_of(settings, dataset, splits, reader)
    require_answers(settings.tasks, samples)
    return PlannedSamples(samples, "; ".join(dict.fromkeys(said.values())))


def planned_reader(
    settings: RunSettings, dataset: DatasetSettings, split: Split, seconds: float | None
) -> tuple[PlannedReader, str]:
    """A reader of the split's videos as if extracted, and how their lengths were found out.

    `seconds`: of each. Raises TrainError where an encoder's settings do not give its shapes.
    """
    lengths, said = _lengths(dataset, _names(dataset, split), seconds)
    return PlannedReader(settings, dataset, lengths), said


def _names(dataset: DatasetSettings, split: Split) -> dict[str, str]:
    """Id → name as it is written, of all that the labels name."""
    if dataset.conversations:
        return {own: name for name, own in media_ids(conversations_of(dataset).values()).items()}
    return written_names([label for part in split.values() for label in part])


def _lengths(
    dataset: DatasetSettings, names: Mapping[str, str], seconds: float | None
) -> tuple[dict[str, float], str]:
    """Video → seconds, and where they come from."""
    files = _files(dataset, names) if seconds is None else {}
    videos = list(files) or list(names)
    asked = random.Random(_SEED).sample(sorted(files), min(_SAMPLE, len(files)))
    declared = [length for video in asked if (length := declared_seconds(files[video]))]
    if not declared:
        usual = seconds or USUAL_SECONDS
        return dict.fromkeys(videos, usual), f"{usual:g} s for each video (--seconds)"
    return (
        {video: declared[number % len(declared)] for number, video in enumerate(videos)},
        f"as the headers of {len(declared)} of {len(files)} videos of {dataset.name} declare",
    )


def _files(dataset: DatasetSettings, names: Mapping[str, str]) -> dict[str, Path]:
    if not dataset.videos.is_dir():
        return {}
    return resolve(names, find_videos(dataset.videos), dataset.videos, names).found


def declared_seconds(path: Path) -> float | None:
    """The length that a video's header declares; None where it cannot be read or does not say."""
    import av  # where features are trained on, it may be absent

    try:
        with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as container:
            (stream, *_) = container.streams.video or (None,)
            if stream is not None and stream.duration and stream.time_base:
                return float(stream.duration * stream.time_base)
            return container.duration / av.time_base if container.duration else None
    except (av.FFmpegError, OSError, ValueError):
        return None
