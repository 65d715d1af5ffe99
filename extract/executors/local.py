"""Extraction on one device, by this process and its decode workers."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing

from extract.encoders.base import Encoder
from extract.executors.shared_job import SharedJob
from extract.executors.worker import with_size, work
from extract.run.extractor import Extractor
from extract.tasks import Outcome, Recipe, VideoTask
from extract.timing import Phases
from store.format.fingerprint import fingerprint
from store.ids import check_folder_name
from store.leases import Leases


class LocalExecutor:
    """See Executor. `encoders`: those of the recipe, where they are built already.

    `share`: a name under which this process shares the job with others, on any machines, that were started by
    the same command: the outcomes are then those of its own videos, and end when the job does.
    """

    def __init__(
        self,
        recipe: Recipe,
        device: str = "cpu",
        encoders: Mapping[str, Encoder] | None = None,
        share: str | None = None,
    ) -> None:
        self._extractor = Extractor(recipe, device, encoders)
        self._job = SharedJob(recipe.store, self._job_name(share)) if share else None

    @property
    def phases(self) -> Phases:
        """See Executor."""
        return self._extractor.phases

    def run(self, tasks: Iterable[VideoTask]) -> Generator[Outcome]:
        """See Executor. Raises OtherJob too."""
        if self._job is None:
            return self._extractor.extract(with_size(task) for task in tasks if task.encoders)
        return self._shared(self._job, tasks)

    def close(self) -> None:
        """See Executor."""
        self._extractor.close()

    def _shared(self, job: SharedJob, tasks: Iterable[VideoTask]) -> Generator[Outcome]:
        with closing(Leases(job.files)) as leases:
            job.publish_all(tasks, leases)
            yield from work(self._extractor, job, leases)
        job.leave()

    def _job_name(self, share: str) -> str:
        """Another one for other encoders, whose lots are others. Raises InvalidName."""
        names = sorted(features.name for features in self._extractor.sets.values())
        return f"{check_folder_name(share, 'share')}-{fingerprint({'sets': names})}"
