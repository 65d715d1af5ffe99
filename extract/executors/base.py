"""What carries out an extraction, and what can be wrong with it rather than with a video."""

from collections.abc import Generator, Hashable, Iterable, Sequence
from typing import Protocol

from config.errors import Problem
from extract.tasks import Outcome, Phases, VideoTask


class InvalidShare(Problem):
    """A job cannot be shared in this way."""


class WorkersLost(Problem):
    """No process is left that could extract: each died again and again."""


class RayMissing(Problem):
    """Ray is asked for, but not installed."""

    def __init__(self, error: ImportError) -> None:
        super().__init__(
            f"Ray is not installed ({error}): pip install --constraint constraints.txt -e '.[ray]',"
            " on every node"
        )


class NoPlace(Problem):
    """No machine has, or gets, room for a single process."""


class StoreNotShared(Problem):
    """A machine does not see the folder of the feature store."""


class Executor(Protocol):
    """Extracts videos into the store, somewhere."""

    phases: Phases
    """Of all devices together; see Extractor."""

    def run(self, tasks: Iterable[VideoTask], listed: str = "") -> Generator[Outcome]:
        """Extract the videos, whose ids must differ; one outcome for each task that names an encoder.

        Outcomes come in any order; all is committed when they end. Tasks are read while others are worked at.
        One that names no encoder counts as a video of the job for which there is nothing to do. `listed`: a
        digest of the list of videos, the same for all who share the job.
        """
        ...

    def close(self) -> None:
        """End processes and threads; free the models."""
        ...


class Process(Protocol):
    """A process that was launched to do `extract.executors.worker.launched`."""

    problem: Problem | None = None
    """What it met that a person must put right, once it has ended."""
    death: str | None = None
    """What it died of; None where it came to its end."""

    def ended(self) -> bool:
        """Whether it has: then `problem` and `death` are known."""
        ...

    def stop(self) -> None:
        """Have it commit what it has finished, and end."""
        ...

    def join(self) -> None:
        """Wait until it has ended, but not for ever: then it is killed."""
        ...


class Launcher(Protocol):
    """Starts processes that share a job."""

    no_place: str
    """What a person can do where there is no room."""

    def places(self) -> Sequence[Hashable]:
        """Where there is room for a process each, now. The text of each is one of a kind."""
        ...

    def launch(self, place: Hashable, job: str) -> Process:
        """Start one, whose results are signed with the text of its place."""
        ...

    def close(self) -> None:
        """Leave the machines alone."""
        ...
