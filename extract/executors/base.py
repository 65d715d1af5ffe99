"""What carries out an extraction: this process, or processes that it launches, here or on other machines."""

from collections.abc import Generator, Hashable, Iterable, Sequence
from typing import Protocol

from config.errors import Problem
from extract.tasks import Outcome, VideoTask
from extract.timing import Phases


class Executor(Protocol):
    """Extracts videos into the store, somewhere."""

    @property
    def phases(self) -> Phases:
        """Of all devices together; see Extractor."""
        ...

    def run(self, tasks: Iterable[VideoTask]) -> Generator[Outcome]:
        """Extract the videos, whose ids must differ; one outcome for each task that names an encoder.

        Outcomes come in any order; all is committed when they end. Tasks are read while others are worked at.
        One that names no encoder counts as a video of the job for which there is nothing to do.
        """
        ...

    def close(self) -> None:
        """End processes and threads; free the models."""
        ...


class Process(Protocol):
    """A process that was launched to do `extract.executors.worker.launched`."""

    def ended(self) -> bool:
        """Whether it has: then `problem` and `death` are known."""
        ...

    @property
    def problem(self) -> Problem | None:
        """What it met that a person must put right."""
        ...

    @property
    def death(self) -> str | None:
        """What it died of; None where it came to its end."""
        ...

    def stop(self) -> None:
        """Have it commit what it has finished, and end."""
        ...

    def join(self) -> None:
        """Wait until it has ended, but not for ever: then it is killed."""
        ...


class Launcher(Protocol):
    """Starts processes that share a job."""

    def places(self) -> Sequence[Hashable]:
        """Where there is room for a process each, now. The text of each is one of a kind."""
        ...

    @property
    def no_place(self) -> str:
        """What a person can do where there is no room."""
        ...

    def launch(self, place: Hashable, job: str) -> Process:
        """Start one, whose results are signed with the text of its place."""
        ...

    def close(self) -> None:
        """Leave the machines alone."""
        ...
