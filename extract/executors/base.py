"""What carries out an extraction: one device, several, or a cluster."""

from collections.abc import Generator, Sequence
from typing import Protocol

from extract.tasks import Outcome, VideoTask
from extract.timing import Phases


class Executor(Protocol):
    """Extracts videos into the store, somewhere."""

    @property
    def phases(self) -> Phases:
        """Of all devices together; see Extractor."""
        ...

    def run(self, tasks: Sequence[VideoTask]) -> Generator[Outcome]:
        """Extract the videos; see Extractor.extract. The first tasks are the first to be begun."""
        ...

    def close(self) -> None:
        """End processes and threads; free the models."""
        ...
