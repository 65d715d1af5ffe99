"""Videos in, features out: what is decoded goes through the encoders, whatever becomes of a single video."""

import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from extract.encoders.base import Encoder
from extract.errors import UnreadableVideo
from extract.location import FileStamp
from extract.run.batching import Batcher, DeviceThreads
from extract.run.overflow_file import OverflowFile
from extract.tasks import Phases, Refused, VideoTask
from extract.video.decode import VideoInfo
from extract.workers.messages import (
    Attempt,
    Decoded,
    Decoders,
    Encoded,
    Ended,
    Event,
    Finished,
    Lost,
    VideoMessage,
)


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

    attempt: Attempt
    features: OverflowFile
    outstanding: int = 0
    ended: Ended | None = None
    dropped: bool = False


class Encoding:
    """Encodes videos while they are decoded; for one list of videos.

    Chunks of all videos share the batches of an encoder; features do not depend on that (see Encoder).
    """

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        decoders: Decoders,
        threads: DeviceThreads,
        folder: Path,
        phases: Phases,
    ) -> None:
        """`folder`: where features of long videos are put aside."""
        self._decoders = decoders
        self._threads = threads
        self._folder = folder
        self._phases = phases
        self._videos: dict[Attempt, _Video] = {}
        self._refused: set[str] = set()
        """Videos that an encoder refused, while more of them may be decoded still, or again."""
        self._batchers: dict[str, Batcher[_Video]] = {
            name: Batcher(encoder, threads) for name, encoder in encoders.items() if not encoder.in_worker
        }

    def run(self, tasks: Iterable[VideoTask]) -> Iterator[EncodedVideo | Refused | None]:
        """Encode the tasks' videos, whose ids must differ; results come as they are ready, one for each task.

        None stands between them, so that the receiver can see to other things. Raises what an encoder
        raises: that is no video's fault.
        """
        busy_seconds = self._threads.busy_seconds
        try:
            with closing(_timed(self._decoders.events(tasks), self._phases)) as events:
                for event in events:
                    refused = self._take(*event) if event else None
                    if refused:
                        yield refused
                    yield from self._finished()
                    yield None
            for batcher in self._batchers.values():
                batcher.finish()
            yield from self._finished()
            while any(batcher.waits for batcher in self._batchers.values()):
                yield from self._finished()
        finally:
            self._phases.add("encode", self._threads.busy_seconds - busy_seconds)

    def _take(self, attempt: Attempt, message: VideoMessage | Lost) -> Refused | None:
        """Take up what became of a video."""
        if attempt.task.video in self._refused:
            if isinstance(message, Decoded):
                self._decoders.recycle(message.chunk)
            return None
        if attempt not in self._videos:
            self._videos[attempt] = _Video(attempt, OverflowFile(self._folder))
        video = self._videos[attempt]
        if isinstance(message, Decoded):
            video.outstanding += 1
            self._batchers[message.encoder].put(video, message.chunk)
        elif isinstance(message, Encoded | Finished):
            video.features.add(message.encoder, message.features)
        elif isinstance(message, Ended):
            video.ended = message
            for phase, seconds in message.seconds.items():
                self._phases.add(phase, seconds)
        elif isinstance(message, Refused | Lost):
            self._drop(video)
        return message if isinstance(message, Refused) else None

    def _finished(self) -> Iterator[EncodedVideo | Refused]:
        """The videos that are complete now, and those that an encoder refused."""
        for name, batcher in self._batchers.items():
            for video, chunk, result in batcher.results():
                self._decoders.recycle(chunk)
                if video.dropped:
                    continue
                if isinstance(result, UnreadableVideo):
                    task = video.attempt.task
                    self._drop(video)
                    self._refused.add(task.video)
                    yield Refused(task, result.kind, f"{task.path}: {result}")
                else:
                    video.features.add(name, result)
                    video.outstanding -= 1
        for attempt, video in list(self._videos.items()):
            if video.ended is not None and video.outstanding == 0:
                del self._videos[attempt]
                yield EncodedVideo(attempt.task, video.ended.info, video.ended.stamp, video.features)

    def _drop(self, video: _Video) -> None:
        del self._videos[video.attempt]
        video.dropped = True
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
