"""How fast videos are really extracted, here and now: a few of them, for seconds, stored nowhere."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from fractions import Fraction

from extract.encoders.base import Encoder
from extract.errors import UnreadableVideo
from extract.tasks import VideoTask
from extract.video.view import Chunk
from extract.workers.messages import Attempt, Decoded, Encoded
from extract.workers.pool import DecodeHere

TRIAL_SECONDS = 20.0


def measured_speed(
    tasks: Sequence[VideoTask],
    encoders: Mapping[str, Encoder],
    device: str,
    workers: int,
    trial_seconds: float = TRIAL_SECONDS,
) -> float | None:
    """Seconds of video that are extracted in a second; None if none of the videos can be read.

    Decoding and each encoder are timed one by one, so that an encoder's chunks count in full, however far
    the others have come when the time is over. On a GPU, the slower of encoding and decoding is the limit;
    on a CPU they share the cores. The start of processes and models does not count: a long job forgets it.
    """
    batches = {name: _Batches(one) for name, one in encoders.items() if not one.in_worker}
    decoded: dict[Attempt, dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    began = started = time.perf_counter()
    decode_seconds = 0.0
    with closing(DecodeHere(encoders).events(tasks)) as events:
        for event in events:
            decode_seconds += time.perf_counter() - started
            if event and isinstance(event[1], Decoded | Encoded):
                attempt, message = event[0], event[1]
                decoded[attempt][message.encoder] += encoders[message.encoder].view.chunk_seconds
                if isinstance(message, Decoded):
                    batches[message.encoder].put(message.chunk)
            started = time.perf_counter()
            if started - began > trial_seconds and decoded:
                break
    video_seconds = float(sum(max(seconds.values()) for seconds in decoded.values()))
    if not video_seconds:
        return None
    decoding = decode_seconds / video_seconds / max(workers, 1)
    needed = {name: sum(name in task.encoders for task in tasks) / len(tasks) for name in batches}
    encoding = sum(share * batches[name].cost() for name, share in needed.items())
    return 1 / (max(decoding, encoding) if workers and device.startswith("cuda") else decoding + encoding)


class _Batches:
    """Times an encoder on the batches that it is best given."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._waiting: list[Chunk] = []
        self._costs: list[float] = []

    def put(self, chunk: Chunk) -> None:
        self._waiting.append(chunk)
        if len(self._waiting) == self._encoder.batch:
            self._encode()

    def cost(self) -> float:
        """Seconds for a second of video. The first batch is slower: it counts only where it is alone."""
        if self._waiting and len(self._costs) < 2:
            self._encode()
        later = self._costs[1:] or self._costs
        return sum(later) / len(later) if later else 0.0

    def _encode(self) -> None:
        chunks, self._waiting = self._waiting, []
        started = time.perf_counter()
        try:
            self._encoder.encode(chunks)
        except UnreadableVideo:
            return
        seconds = len(chunks) * float(self._encoder.view.chunk_seconds)
        self._costs.append((time.perf_counter() - started) / seconds)
