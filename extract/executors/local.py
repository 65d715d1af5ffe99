"""Extraction on one device, by this process and its decode workers."""

from collections.abc import Generator, Mapping, Sequence

from extract.encoders.base import Encoder
from extract.run.extractor import Extractor
from extract.tasks import Outcome, Recipe, VideoTask
from extract.timing import Phases


class LocalExecutor:
    """See Executor. `encoders`: those of the recipe, where they are built already."""

    def __init__(
        self, recipe: Recipe, device: str = "cpu", encoders: Mapping[str, Encoder] | None = None
    ) -> None:
        self._extractor = Extractor(recipe, device, encoders)

    @property
    def phases(self) -> Phases:
        """See Executor."""
        return self._extractor.phases

    def run(self, tasks: Sequence[VideoTask]) -> Generator[Outcome]:
        """See Executor."""
        return self._extractor.extract(tasks)

    def close(self) -> None:
        """See Executor."""
        self._extractor.close()
