"""A stretch of a video's time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stretch:
    """Seconds of a video."""

    begin: float
    """From the video's beginning, or with `from_end` before its end."""
    end: float | None
    """None is the video's end."""
    from_end: bool = False

    def within(self, seconds: float) -> tuple[float, float]:
        """Begin and end in a video of so many seconds."""
        if self.from_end:
            return max(0.0, seconds - self.begin), seconds
        return self.begin, seconds if self.end is None else min(self.end, seconds)

    def exceeds(self, seconds: float) -> bool:
        """Whether more is meant than a video of so many seconds has; a twentieth of a second is nothing."""
        return max(self.begin, self.end or 0.0) > seconds + 0.05

    def shown(self) -> str:
        """For a person."""
        if self.from_end:
            return f"of the last {self.begin:g} s"
        return f"from {self.begin:g} s on" if self.end is None else f"from {self.begin:g} to {self.end:g} s"
