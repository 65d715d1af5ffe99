"""What an extraction would do, take and need, found out without storing anything."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from extract.encoders.base import Encoder
from extract.errors import UnreadableVideo
from extract.job.job import ExtractionJob
from extract.job.summary import in_bytes
from extract.job.trial import measured_speed
from extract.location import Location, RemoteVideo
from extract.tasks import VideoTask
from extract.video.source import declared_seconds, open_video
from extract.video.view import FrameRequest

_SAMPLE = 100
_SEED = 0
_USUAL_FPS = 30.0


@dataclass(frozen=True)
class EncoderPlan:
    """What an encoder would do. `feature_bytes`: estimated; None if no length could be told."""

    to_do: int
    done: int
    quarantined: int
    feature_bytes: float | None
    path: str


@dataclass(frozen=True)
class ExtractionPlan:
    """What a job would do. Estimates are None where no header of the sample tells a length."""

    videos: int
    to_do: int
    source_bytes: int
    sampled: int
    """Videos, of those to do, whose headers were read."""
    video_seconds: float | None
    fps: float
    encoders: dict[str, EncoderPlan]
    speed: float | None
    """Seconds of video extracted in a second on all devices, as far as one of them was tried."""

    @property
    def feature_bytes(self) -> float | None:
        """Of all encoders."""
        sizes = [plan.feature_bytes for plan in self.encoders.values()]
        return sum(size for size in sizes if size is not None) if None not in sizes else None

    @property
    def seconds(self) -> float | None:
        """How long it would take."""
        return self.video_seconds / self.speed if self.speed and self.video_seconds is not None else None

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {**asdict(self), "feature_bytes": self.feature_bytes, "seconds": self.seconds}

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"{self.to_do} of {self.videos} videos to extract, {in_bytes(self.source_bytes)} of files"]
        for name, plan in self.encoders.items():
            size = "" if plan.feature_bytes is None else f", about {in_bytes(plan.feature_bytes)} more"
            lines.append(
                f"  {name}: {plan.to_do} to do, {plan.done} done, {plan.quarantined} in quarantine{size}"
            )
            lines.append(f"    {plan.path}")
        if self.video_seconds is not None and self.to_do:
            lines.append(
                f"about {_duration(self.video_seconds)} of video, by the headers of {self.sampled} videos"
            )
        if self.speed is not None and self.seconds is not None:
            lines.append(
                f"about {_duration(self.seconds)}: {self.speed:.2g} s of video a second, tried on a few"
            )
        return lines


def make_plan(
    job: ExtractionJob,
    videos: Mapping[str, Location],
    encoders: Mapping[str, Encoder],
    devices: Sequence[str],
    workers: int,
    *,
    retry_quarantined: bool = False,
    refresh: bool = False,
) -> ExtractionPlan:
    """What is missing of the videos (id → where), and an estimate by headers and a trial of some seconds.

    The sample is always the same for the same videos. `workers`: for each device.
    """
    tasks = job.pending(videos, retry_quarantined=retry_quarantined, refresh=refresh)
    sample = random.Random(_SEED).sample(tasks, min(_SAMPLE, len(tasks)))
    headers = [header for header in map(_header, sample) if header]
    mean_seconds = sum(seconds for seconds, _ in headers) / len(headers) if headers else None
    fps = sum(rate for _, rate in headers) / len(headers) if headers else _USUAL_FPS
    speed = measured_speed(sample, encoders, devices[0], workers) if sample else None
    plans = {}
    for name, encoder in encoders.items():
        to_do = sum(name in task.encoders for task in tasks)
        refused = 0 if retry_quarantined else sum(video in videos for video in job.refused(name))
        plans[name] = EncoderPlan(
            to_do,
            len(videos) - to_do - refused,
            refused,
            None if mean_seconds is None else to_do * mean_seconds * bytes_per_second(encoder, fps),
            str(job.sets[name].path),
        )
    return ExtractionPlan(
        videos=len(videos),
        to_do=len(tasks),
        source_bytes=sum(task.file_bytes for task in tasks),
        sampled=len(headers),
        video_seconds=None if mean_seconds is None else mean_seconds * len(tasks),
        fps=round(fps, 3),
        encoders=plans,
        speed=speed and speed * len(devices),
    )


def bytes_per_second(encoder: Encoder, fps: float) -> float:
    """Bytes of features for a second of video: an item a chunk, or a frame where all frames are used."""
    requests: Sequence[FrameRequest] = list(encoder.view.requests.values())
    every_frame = any(request.rule == "all" for request in requests)
    items = fps if every_frame else float(1 / encoder.view.chunk_seconds)
    return items * sum(stream.item_bytes for stream in encoder.streams.values())


def _header(task: VideoTask) -> tuple[float, float] | None:
    """(seconds, frames a second) as the file declares them; None if it does not, or cannot be read."""
    if isinstance(task.path, RemoteVideo):
        return None
    try:
        with open_video(task.path, threads=1) as (container, stream):
            seconds = declared_seconds(container, stream)
            rate = stream.average_rate or stream.guessed_rate
    except UnreadableVideo:
        return None
    return (float(seconds), float(rate or _USUAL_FPS)) if seconds else None


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"
