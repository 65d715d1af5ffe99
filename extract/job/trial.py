"""How fast videos are really extracted, here and now: a few of them, for seconds, stored nowhere."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from extract.encoders.base import Encoder
from extract.run.encoding import EncodedVideo, Encoding
from extract.run.lanes import DeviceThreads
from extract.tasks import VideoTask
from extract.video.view import Chunk
from extract.workers.decoders import DecodeHere, Decoders
from extract.workers.messages import Attempt, Decoded, Encoded, Event
from extract.workers.pool import DecodePool

TRIAL_SECONDS = 20.0


def measured_speed(
    tasks: Sequence[VideoTask],
    encoders: Mapping[str, Encoder],
    device: str,
    workers: int,
    trial_seconds: float = TRIAL_SECONDS,
) -> float | None:
    """Seconds of video that are decoded and encoded in a second; None if none of the videos can be read.

    The start of the processes does not count; a long job forgets it.
    """
    pool: Decoders = DecodePool(encoders, workers, trial_seconds) if workers else DecodeHere(encoders)
    with closing(DeviceThreads(device)) as threads, closing(_Timed(pool, encoders, trial_seconds)) as timed:
        for result in Encoding(encoders, threads, Path(tempfile.gettempdir())).run(timed, tasks):
            if isinstance(result, EncodedVideo):
                result.spool.close()
        elapsed = time.perf_counter() - timed.started
    return float(timed.video_seconds) / elapsed if timed.video_seconds else None


class _Timed:
    """Decoders that stop some seconds after the first chunk, and count what they gave."""

    def __init__(self, decoders: Decoders, encoders: Mapping[str, Encoder], limit_seconds: float) -> None:
        self._decoders = decoders
        self._chunk_seconds = {name: encoder.view.chunk_seconds for name, encoder in encoders.items()}
        self._limit_seconds = limit_seconds
        self._seconds: dict[Attempt, dict[str, Fraction]] = defaultdict(dict)
        self.started = 0.0

    def events(self, tasks: Iterable[VideoTask]) -> Generator[Event | None]:
        """See Decoders."""
        with closing(self._decoders.events(tasks)) as events:
            for event in events:
                now = time.perf_counter()
                if event:
                    self.started = self.started or now
                if self.started and now - self.started > self._limit_seconds:
                    return
                if event and isinstance(event[1], Decoded | Encoded):
                    attempt, name = event[0], event[1].encoder
                    seconds = self._seconds[attempt]
                    seconds[name] = seconds.get(name, Fraction(0)) + self._chunk_seconds[name]
                yield event

    @property
    def video_seconds(self) -> Fraction:
        """Of all videos, as far as each encoder of theirs has come."""
        return sum(
            (
                min(seconds.get(name, Fraction(0)) for name in attempt.task.encoders)
                for attempt, seconds in self._seconds.items()
            ),
            Fraction(0),
        )

    def recycle(self, chunk: Chunk) -> None:
        """See Decoders."""
        self._decoders.recycle(chunk)

    def close(self) -> None:
        """See Decoders."""
        self._decoders.close()
