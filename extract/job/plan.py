"""What an extraction would do, take and need, found out without storing anything."""

import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from config.errors import count
from extract.encoders.base import Encoder, WholeVideoEncoder
from extract.errors import UnreadableVideo
from extract.job.job import ExtractionJob
from extract.job.summary import in_bytes
from extract.location import Location, RemoteVideo
from extract.run.batching import DeviceThreads
from extract.tasks import VideoTask
from extract.video.claims import declared_seconds
from extract.video.source import open_video
from extract.video.view import Chunk, View
from extract.workers.messages import Attempt, Decoded, Encoded
from extract.workers.pool import DecodeHere

_SAMPLE = 100
_SEED = 0
_USUAL_FPS = 30.0
_TRIAL_SECONDS = 20.0


@dataclass(frozen=True)
class EncoderPlan:
    """What an encoder would do. `feature_bytes`: estimated; None if no length is known.

    spared: pictures that it need not see.
    """

    to_do: int
    done: int
    quarantined: int
    spared: int
    feature_bytes: float | None
    path: str


@dataclass(frozen=True)
class ExtractionPlan:
    """What a job would do; estimates are None where no video of the sample tells a length.

    speed: seconds of video extracted in a second on all devices, as far as one of them was tried.
    """

    videos: int
    to_do: int
    source_bytes: int
    video_seconds: float | None
    feature_bytes: float | None
    speed: float | None
    seconds: float | None
    encoders: dict[str, EncoderPlan]

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"{self.to_do} of {self.videos} videos to extract, {in_bytes(self.source_bytes)} of files"]
        for name, plan in self.encoders.items():
            size = "" if plan.feature_bytes is None else f", about {in_bytes(plan.feature_bytes)} more"
            counts = f"{plan.to_do} to do, {plan.done} done, {plan.quarantined} in quarantine"
            counts += f", {count(plan.spared, 'picture')} left out" if plan.spared else ""
            lines += [f"  {name}: {counts}{size}", f"    {plan.path}"]
        if self.seconds is not None and self.video_seconds is not None:
            lines.append(
                f"about {_duration(self.seconds)} for {_duration(self.video_seconds)} of video:"
                f" {self.speed:.2g} s of video a second, tried on a few"
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
    one_device = measured_speed(sample, encoders, devices[0], workers) if sample else None
    speed = one_device and one_device * len(devices)
    plans = {}
    for name, encoder in encoders.items():
        doing = {task.video for task in tasks if name in task.encoders}
        to_do = len(doing)
        waiting = () if retry_quarantined else job.refused(name)
        refused = sum(video in videos and video not in doing for video in waiting)
        size = None if mean_seconds is None else to_do * mean_seconds * bytes_per_second(encoder, fps)
        spared = len(job.spared(name) & videos.keys() - doing)
        done = len(videos) - to_do - refused - spared
        plans[name] = EncoderPlan(to_do, done, refused, spared, size, job.sets[name].location)
    video_seconds = None if mean_seconds is None else mean_seconds * len(tasks)
    return ExtractionPlan(
        videos=len(videos),
        to_do=len(tasks),
        source_bytes=sum(_size_bytes(task.path) for task in tasks),
        video_seconds=video_seconds,
        feature_bytes=None if headers == [] else sum(plan.feature_bytes or 0.0 for plan in plans.values()),
        speed=speed,
        seconds=video_seconds / speed if speed and video_seconds is not None else None,
        encoders=plans,
    )


def bytes_per_second(encoder: Encoder, fps: float) -> float:
    """Bytes of features for a second of video.

    Where the encoder does not say it: an item a chunk, or a frame where all frames are used.
    """
    view = encoder.view
    every_frame = isinstance(view, View) and any(one.rule == "all" for one in view.requests.values())
    usual = fps if every_frame else float(1 / view.chunk_seconds)
    said = encoder.items_per_second if isinstance(encoder, WholeVideoEncoder) else {}
    return sum(said.get(name, usual) * stream.item_bytes for name, stream in encoder.streams.items())


def measured_speed(
    tasks: Sequence[VideoTask],
    encoders: Mapping[str, Encoder],
    device: str,
    workers: int,
    trial_seconds: float = _TRIAL_SECONDS,
) -> float | None:
    """Seconds of video that are extracted in a second; None if none of the videos can be read.

    Decoding and each encoder are timed one by one, so that an encoder's chunks count in full, however far
    the others have come when the time is over. On a GPU, the slower of encoding and decoding is the limit;
    on a CPU they share the cores. The start of processes and models does not count: a long job forgets it.
    """
    decoded: dict[Attempt, dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    waiting: dict[str, list[Chunk]] = {name: [] for name, one in encoders.items() if not one.in_worker}
    costs: dict[str, list[float]] = {name: [] for name in waiting}

    def encode(name: str) -> None:
        """Time a batch, in the thread where it would run: seconds for a second of video."""
        chunks, waiting[name] = waiting[name], []
        began = time.perf_counter()
        threads.encode(encoders[name], chunks).result()
        seconds = len(chunks) * float(encoders[name].view.chunk_seconds)
        costs[name].append((time.perf_counter() - began) / seconds)

    began = started = time.perf_counter()
    decode_seconds = 0.0
    with (
        closing(DeviceThreads(device)) as threads,
        closing(DecodeHere(encoders).events(tasks)) as events,
    ):
        for attempt, message in filter(None, events):
            decode_seconds += time.perf_counter() - started
            if isinstance(message, Decoded | Encoded):
                decoded[attempt][message.encoder] += encoders[message.encoder].view.chunk_seconds
            if isinstance(message, Decoded):
                waiting[message.encoder].append(message.chunk)
                if len(waiting[message.encoder]) == encoders[message.encoder].batch:
                    encode(message.encoder)
            started = time.perf_counter()
            if started - began > trial_seconds and decoded:
                break
        for name, chunks in waiting.items():
            if chunks and len(costs[name]) < 2:
                encode(name)
    video_seconds = float(sum(max(seconds.values()) for seconds in decoded.values()))
    if not video_seconds:
        return None
    decoding = decode_seconds / video_seconds / max(workers, 1)
    encoding = 0.0
    for name, measured in costs.items():
        later = measured[1:] or measured or [0.0]  # the first batch is slower
        needed = sum(name in task.encoders for task in tasks) / len(tasks)
        encoding += needed * sum(later) / len(later)
    return 1 / (max(decoding, encoding) if workers and device.startswith("cuda") else decoding + encoding)


def _size_bytes(location: Location) -> int:
    """Of the video's file; 0 where it is not known without asking a storage."""
    if isinstance(location, RemoteVideo):
        return location.size_bytes
    try:
        return location.stat().st_size
    except OSError:
        return 0


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
