"""Videos in, features out: what is decoded goes through the encoders, whatever becomes of a single video."""

import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from extract.encoders.base import Encoder
from extract.errors import UnreadableVideo
from extract.location import FileStamp
from extract.run.batching import Batcher, DeviceThreads
from extract.run.overflow_file import OverflowFile
from extract.tasks import Refused, VideoTask
from extract.timing import Phases
from extract.video.decode import VideoInfo
from extract.workers.messages import Attempt, Decoded, Decoders, Encoded, Ended, Event, Failed, Lost


@dataclass(frozen=True)
class EncodedVideo:
    """Features of a whole video, of the encoders that its task names; the receiver closes `features`."""

    task: VideoTask
    info: VideoInfo
    stamp: FileStamp
    features: OverflowFile


@dataclass(eq=False)
class _Video:
    """One attempt at a video. `outstanding`: chunks that are being encoded."""

    task: VideoTask
    features: OverflowFile
    outstanding: int = 0
    ended: Ended | None = None


@dataclass(eq=False)
class Encoding:
    """Encodes videos while they are decoded.

    Chunks of all videos share the batches of an encoder; features do not depend on that (see Encoder).
    `folder`: where features of long videos are put aside.
    """

    encoders: Mapping[str, Encoder]
    threads: DeviceThreads
    folder: Path
    phases: Phases = field(default_factory=Phases)

    def run(self, decoders: Decoders, tasks: Iterable[VideoTask]) -> Iterator[EncodedVideo | Refused | None]:
        """Encode the tasks' videos, whose ids must differ; results come as they are ready.

        None stands between them, so that the receiver can see to other things. Raises what an encoder
        raises: that is no video's fault.
        """
        run = _Run(self, decoders)
        busy_seconds = self.threads.busy_seconds
        try:
            with closing(_timed(decoders.events(tasks), self.phases)) as events:
                for event in events:
                    refused = run.take(event) if event else None
                    if refused:
                        yield refused
                    yield from run.finished()
                    yield None
            run.finish()
            yield from run.finished()
        finally:
            self.phases.add("encode", self.threads.busy_seconds - busy_seconds)


class _Run:
    def __init__(self, encoding: Encoding, decoders: Decoders) -> None:
        self._encoding = encoding
        self._decoders = decoders
        self._videos: dict[Attempt, _Video] = {}
        self._refused: set[Attempt] = set()
        """Videos that an encoder refused, while more of them may be decoded still."""
        self._batchers: dict[str, Batcher[_Video]] = {
            name: Batcher(encoder, encoding.threads)
            for name, encoder in encoding.encoders.items()
            if not encoder.in_worker
        }

    def take(self, event: Event) -> Refused | None:
        """Take up what became of a video."""
        attempt, message = event
        if attempt in self._refused:
            if isinstance(message, Decoded):
                self._decoders.recycle(message.chunk)
            return None
        if attempt not in self._videos:
            self._videos[attempt] = _Video(attempt.task, OverflowFile(self._encoding.folder))
        video = self._videos[attempt]
        if isinstance(message, Decoded):
            video.outstanding += 1
            self._batchers[message.encoder].put(video, message.chunk)
        elif isinstance(message, Encoded):
            video.features.add(message.encoder, message.features)
        elif isinstance(message, Ended):
            video.ended = message
            for phase, seconds in message.seconds.items():
                self._encoding.phases.add(phase, seconds)
        elif isinstance(message, Failed | Lost):
            self._drop(attempt)
        return Refused(attempt.task, message.kind, message.message) if isinstance(message, Failed) else None

    def finish(self) -> None:
        """Wait for all that is being encoded."""
        for batcher in self._batchers.values():
            batcher.finish()

    def finished(self) -> Iterator[EncodedVideo | Refused]:
        """The videos that are complete now, and those that an encoder refused."""
        attempts = {video: attempt for attempt, video in self._videos.items()}
        for name, batcher in self._batchers.items():
            for video, chunk, result in batcher.results():
                self._decoders.recycle(chunk)
                if attempts.get(video) not in self._videos:
                    continue
                if isinstance(result, UnreadableVideo):
                    self._drop(attempts[video])
                    self._refused.add(attempts[video])
                    yield Refused(video.task, result.kind, f"{video.task.path}: {result}")
                else:
                    video.features.add(name, result)
                    video.outstanding -= 1
        for attempt, video in list(self._videos.items()):
            if video.ended is not None and video.outstanding == 0:
                del self._videos[attempt]
                yield EncodedVideo(video.task, video.ended.info, video.ended.stamp, video.features)

    def _drop(self, attempt: Attempt) -> None:
        video = self._videos.pop(attempt)
        video.features.close()
        for batcher in self._batchers.values():
            batcher.forget(video)


def _timed(events: Generator[Event | None], phases: Phases) -> Generator[Event | None]:
    with closing(events):
        while True:
            started = time.perf_counter()
            try:
                event = next(events)
            except StopIteration:
                return
            finally:
                phases.add("wait for decoding", time.perf_counter() - started)
            yield event
