"""Presentation times of decoded frames, counted from the first one, whatever the timestamps are like."""

from fractions import Fraction

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from extract.errors import ImplausibleTiming

_DEFAULT_RATE = Fraction(25)
_MAX_RATE = 1000
_MAX_GAP_SECONDS = 30


class Clock:
    """Reads one frame after another.

    A frame without a timestamp comes one frame interval after the one before it; one that runs backwards
    is held at the time before it. Both are counted. Raises ImplausibleTiming at a gap of more than 30
    seconds or at more than 1000 frames in a second.
    """

    def __init__(self, stream: VideoStream, name: str) -> None:
        self._name = name
        self._tick_seconds = stream.time_base or Fraction(1, 90000)
        rate = stream.average_rate or stream.guessed_rate or _DEFAULT_RATE
        self.nominal_seconds = 1 / Fraction(rate) if rate else 1 / _DEFAULT_RATE
        # Times are whole ticks wherever the file gives them: arithmetic on fractions takes a tenth of the
        # time of decoding a small frame.
        self._first: int | Fraction | None = None
        self._last: int | Fraction = 0
        self._last_duration = 0
        self._largest_gap = _MAX_GAP_SECONDS / self._tick_seconds
        self.frames = 0
        self.without_time = 0
        self.backwards = 0

    def read(self, frame: VideoFrame) -> Fraction:
        """Seconds from the first frame to this one; never less than those of the frame before it."""
        ticks = self._ticks(frame.pts)
        if ticks < self._last:
            self.backwards += 1
            ticks = self._last
        if ticks - self._last > self._largest_gap:
            raise ImplausibleTiming(
                f"{self._name}: no frame between {float(self._last * self._tick_seconds):.1f} s and "
                f"{float(ticks * self._tick_seconds):.1f} s; its time table is broken, or it is damaged: "
                "encode it again"
            )
        self.frames += 1
        self._last = ticks
        self._last_duration = frame.duration
        return ticks * self._tick_seconds

    def _ticks(self, pts: int | None) -> int | Fraction:
        """Ticks from the first frame to one with that timestamp."""
        if pts is None:
            self.without_time += 1
            interval = self._last_duration or self.nominal_seconds / self._tick_seconds
            return self._last + interval if self.frames else 0
        if self._first is None:
            ahead = self._last + self.nominal_seconds / self._tick_seconds if self.frames else 0
            self._first = pts - ahead
        return pts - self._first

    @property
    def frame_seconds(self) -> Fraction:
        """The interval between frames: measured where there are two, otherwise the nominal one."""
        if self.frames > 1 and self._last > 0:
            return self._last * self._tick_seconds / (self.frames - 1)
        return self.nominal_seconds

    @property
    def duration_seconds(self) -> Fraction:
        """From the first frame to the end of the last one."""
        last = self._last_duration * self._tick_seconds or self.frame_seconds
        return self._last * self._tick_seconds + last

    def check_rate(self) -> None:
        """Raises ImplausibleTiming if the frames come faster than any camera makes them."""
        if self.frames > 1 and self.frames > _MAX_RATE * self.duration_seconds:
            raise ImplausibleTiming(
                f"{self._name}: {self.frames} frames in {float(self.duration_seconds):.4f} s; "
                "its timescale is broken: encode it again"
            )
