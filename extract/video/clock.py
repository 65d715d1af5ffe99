"""Presentation times of decoded frames, counted from the first one, whatever the timestamps are like."""

from fractions import Fraction
from math import ceil, inf

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from extract.errors import ImplausibleTiming
from extract.video.claims import time_may_jump

_LONGEST_SECONDS = 10**9
LARGEST_GAP_SECONDS = 600.0
"""A slide of a lecture may stand for minutes; a longer gap is more likely a broken time table."""

_DEFAULT_RATE = Fraction(25)
_MAX_RATE = 1000


class Clock:
    """Reads one frame after another.

    A frame without a timestamp comes one frame interval after the one before it, and so does one whose
    timestamp is more than a second before it, with all that follow: there, another recording begins. One
    that runs backwards by less is held at the time before it. All are counted. In formats whose time may
    jump anywhere (MPEG, Ogg), so is a jump ahead. Raises ImplausibleTiming at any other gap of more than
    `largest_gap_seconds`, and at more than 1000 frames in a second.
    """

    def __init__(
        self, stream: VideoStream, name: str, largest_gap_seconds: float = LARGEST_GAP_SECONDS
    ) -> None:
        self._name = name
        self._tick_seconds = stream.time_base or Fraction(1, 90000)
        self.nominal_seconds = _nominal_seconds(stream, largest_gap_seconds)
        self._jumps_are_cuts = time_may_jump(stream.container)
        # Times are whole ticks wherever the file gives them: arithmetic on fractions takes a tenth of the
        # time of decoding a small frame.
        self._second = ceil(1 / self._tick_seconds)
        self._largest_gap_seconds = largest_gap_seconds
        self._largest_gap = ceil(Fraction(min(largest_gap_seconds, _LONGEST_SECONDS)) / self._tick_seconds)
        self._own_ticks = self._packet_ticks = -inf
        self._excess_faults = 0
        """How much oftener the frames' own timestamps ran backwards than those of their packets."""
        self._first: int | Fraction | None = None
        self._last: int | Fraction = 0
        self._last_duration = 0
        self._longest: int | Fraction = 0
        self._burst_began: int | Fraction = 0
        self._burst = 0
        self.frames = 0
        self.without_time = 0
        self.backwards = 0
        self.restarts = 0

    def read(self, frame: VideoFrame) -> Fraction:
        """Seconds from the first frame to this one; never less than those of the frame before it."""
        ticks = self._ticks(frame)
        step = ticks - self._last
        if step > self._largest_gap:
            before, after = (float(time * self._tick_seconds) for time in (self._last, ticks))
            raise ImplausibleTiming(
                f"{self._name}: no frame between {before:.1f} s and {after:.1f} s, more than the "
                f"{self._largest_gap_seconds:g} s allowed: allow more (--largest-gap) for slides "
                "or a still screen; otherwise its time table is broken: encode it again"
            )
        if step > self._longest:
            self._longest = step
        self.frames += 1
        self._last = ticks
        self._last_duration = frame.duration
        if ticks - self._burst_began >= self._second:
            self._burst_began, self._burst = ticks, 0
        self._burst += 1
        if self._burst > _MAX_RATE:  # before the frames of a second fill the memory
            self._refuse_above_rate(self._burst, (ticks - self._burst_began) * self._tick_seconds)
        return ticks * self._tick_seconds

    def _ticks(self, frame: VideoFrame) -> int | Fraction:
        """Ticks from the first frame to this one."""
        stamp = self._stamp(frame)
        if stamp is None:
            self.without_time += 1
            return self._following()
        if self._first is None:
            self._first = stamp - self._following()
        ticks = stamp - self._first
        if ticks >= self._last and not (self._jumps_are_cuts and ticks - self._last > self._largest_gap):
            return ticks
        if ticks < self._last <= ticks + self._second:
            self.backwards += 1
            return self._last
        self.restarts += 1
        self._first = stamp - self._following()
        return stamp - self._first

    def _stamp(self, frame: VideoFrame) -> int | None:
        """A frame's own timestamp or that of the packet which completed it; None where it has neither.

        As FFmpeg does (guess_correct_pts): the kind that ran backwards less often. AVI gives frames that were
        decoded in another order than they are shown each other's timestamps.
        """
        own, packet = frame.pts, frame.dts
        if own is not None:
            self._excess_faults += own < self._own_ticks
            self._own_ticks = own
        if packet is not None:
            self._excess_faults -= packet < self._packet_ticks
            self._packet_ticks = packet
        return packet if own is None or (packet is not None and self._excess_faults > 0) else own

    def _following(self) -> int | Fraction:
        """Ticks of a frame right after the last one, which lasts as it says, if that is to be believed."""
        if not self.frames:
            return 0
        if 0 < self._last_duration <= self._longest_believed():
            return self._last + self._last_duration
        return self._last + self.nominal_seconds / self._tick_seconds

    def _longest_believed(self) -> int | Fraction:
        """Ticks that a frame may be declared to last: a second, or as long as any frame did before.

        More is often a slip of the muxer, or the pause of an animation before it starts over. A single frame
        has no others to judge it by.
        """
        return self._largest_gap if self.frames == 1 else max(self._second, self._longest)

    @property
    def frame_seconds(self) -> Fraction:
        """The interval between frames: measured where there are two, otherwise the nominal one."""
        if self.frames > 1 and self._last > 0:
            return self._last * self._tick_seconds / (self.frames - 1)
        return self.nominal_seconds

    @property
    def doubtful_seconds(self) -> Fraction:
        """What the file says the last frame lasts, if that is not believed; otherwise 0."""
        doubtful = self._last_duration > self._longest_believed()
        return self._last_duration * self._tick_seconds if doubtful else Fraction(0)

    @property
    def duration_seconds(self) -> Fraction:
        """From the first frame to the end of the last one, which lasts as frames do where it does not say."""
        believed = 0 if self.doubtful_seconds else self._last_duration
        return self._last * self._tick_seconds + (believed * self._tick_seconds or self.frame_seconds)

    def check_rate(self) -> None:
        """Raises ImplausibleTiming if the frames come faster than any camera makes them."""
        if self.frames > 1:
            self._refuse_above_rate(self.frames, self.duration_seconds)

    def _refuse_above_rate(self, frames: int, seconds: Fraction) -> None:
        if frames > _MAX_RATE * seconds:
            raise ImplausibleTiming(
                f"{self._name}: {frames} frames in {float(seconds):.4f} s; "
                "its timescale is broken: encode it again"
            )


def _nominal_seconds(stream: VideoStream, largest: float) -> Fraction:
    """The declared interval of frames; a single absurd duration makes nonsense of the average rate."""
    average, guessed = (Fraction(rate or 0) for rate in (stream.average_rate, stream.guessed_rate))
    rate = guessed if not average or average < 1 <= guessed else average
    return 1 / rate if rate * Fraction(min(largest, _LONGEST_SECONDS)) >= 1 else 1 / _DEFAULT_RATE
