"""What is asked about a video, and what should be answered."""

from dataclasses import dataclass

from config.schema import Task


@dataclass(frozen=True)
class Question:
    """One question about one video of a batch, with the answer that it should get."""

    video: int
    task: Task
    phrasing: int
    value: float | str
    """A score in 0–100, or a level."""

    @property
    def answer(self) -> int | str:
        """The value as it is written: scores as integers."""
        return self.value if isinstance(self.value, str) else round(self.value)
