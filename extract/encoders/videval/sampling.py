"""Which frames VIDEVAL looks at, in its four variants: by their numbers, from the whole frame rate alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from extract.video.counted import Group

ROWS = "rows"
HIGH = "high"
_FRAMES_AFTER = 2
"""Of the video, that must follow a sampled frame: the last two are never looked at."""


@dataclass(frozen=True)
class Variant:
    """How finely VIDEVAL looks at a video; a Numbering.

    lines: frames whose shorter side is longer are scaled down to it; None leaves them as they are.
    rate: how many frames are sampled of every second; None: every second frame.
    """

    lines: int | None
    rate: int | None

    def step(self, fps: int) -> int:
        """From one sampled frame to the next."""
        return 2 if self.rate is None else max(fps // self.rate, 1)

    def rows(self, fps: int) -> int:
        """Sampled frames of a chunk, which is about a second: as many as are pooled into one."""
        return max(fps // 2, 1) if self.rate is None else self.rate

    def ratio(self, height: int, width: int) -> float:
        """Of the size that frames are looked at in to their own."""
        return 1.0 if self.lines is None else min(1.0, self.lines / min(height, width))

    def chunk(self, rate: int, index: int) -> Mapping[str, Sequence[Group]]:
        """`rows`: the sampled frame and the one after it; the chunk's first row has the frame before, too.

        That is the one after the last sampled frame; the video's own first frame at its beginning. `high`:
        one frame for each second, in which details are looked at closely, if one falls into the chunk.
        """
        step, count = self.step(rate), self.rows(rate)
        first = index * count
        sampled = [1 + row * step for row in range(first, first + count)]
        before = sampled[0] - step + 1 if index else 0
        rows = [Group((this, this + 1), this + 1 + _FRAMES_AFTER) for this in sampled]
        rows[0] = Group((before, *rows[0].frames), rows[0].needs)
        begin, end = first * step, (first + count) * step
        return {ROWS: rows, HIGH: [Group((n,), n + 2 + _FRAMES_AFTER) for n in high_frames(rate, begin, end)]}


VARIANTS = {
    "light480-3fps": Variant(480, 3),
    "light720-3fps": Variant(720, 3),
    "light720-6fps": Variant(720, 6),
    "full": Variant(None, None),
}


def high_frames(fps: int, begin: int, end: int) -> range:
    """The frames of `high` from `begin` up to `end`: just before the middle of every second."""
    first = fps // 2 - 1
    seconds = max(-((first - begin) // fps), 0 if first >= 0 else 1)
    return range(first + seconds * fps, end, fps)
